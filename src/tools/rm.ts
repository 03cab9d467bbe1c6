/** rm(1): removes a tree without following a link or leaving its file system. */
import { lstat, realpath } from 'node:fs/promises';
import { HostError } from '../errors.ts';
import { isBtrfs, removeSubvolumesBelow } from './btrfs.ts';
import { run } from './exec.ts';
import { mountsAt } from './mount.ts';

/**
 * Removes a directory with all that is in it, subvolumes of btrfs too; one that is not there is no
 * failure.
 * @throws HostError, and nothing is removed, when something is mounted there.
 */
export async function removeTree(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  // Nothing is mounted on a link, and it may lead nowhere.
  const mounts = found.isSymbolicLink() ? [] : await mountsAt(await realpath(path));
  if (mounts.length > 0) {
    throw new HostError(`"${path}" is not removed, because something is mounted there.`, {
      details: mounts,
      hint: 'Unmount it with umount, then try again.',
    });
  }
  if (found.isDirectory() && (await isBtrfs(path))) await removeSubvolumesBelow(path);
  const args = ['--recursive', '--force', '--one-file-system', '--', path];
  await run('rm', args, { timeoutSec: 0 });
}
