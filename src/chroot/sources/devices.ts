/** Devices that an archive or an image brings. */
import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Takes the devices of the tree's /dev away: archives of root file systems often bring disks there,
 * and systemd-nspawn covers it with its own. A device elsewhere is refused later.
 */
export async function removeDevices(tree: string): Promise<void> {
  await removeIn(join(tree, 'dev'));
}

/** A link is not followed: it may lead to this host's. */
async function removeIn(dir: string): Promise<void> {
  if ((await lstat(dir).catch(() => undefined))?.isDirectory() !== true) return;
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) await removeIn(path);
    else if (entry.isCharacterDevice() || entry.isBlockDevice()) await rm(path);
  }
}
