/** rm(1): removes a tree without following a link or leaving its file system. */
import type { Stats } from 'node:fs';
import { lstat, realpath } from 'node:fs/promises';
import { CommandError, HostError } from '../errors.ts';
import { isBtrfs, removeSubvolumesBelow } from './btrfs.ts';
import { makeRemovable } from './chattr.ts';
import { run } from './exec.ts';
import { mountsAt } from './mount.ts';

/**
 * Removes a directory with all that is in it, subvolumes of btrfs and immutable files too; one that is not there is no
 * failure.
 * @throws HostError, and nothing is removed, when something is mounted there.
 */
export async function removeTree(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  await refuseMounts(path, found);
  try {
    await removeAll(path, found);
  } catch (error) {
    if (!isForbidden(error) || found.isSymbolicLink()) throw error;
    // Most trees need none of this, which looks at each of their files.
    await refuseMounts(path, found);
    await makeRemovable(path);
    await removeAll(path, found);
  }
}

/** EPERM is what an immutable file gives even to root, unlink(2). */
function isForbidden(error: unknown): boolean {
  return error instanceof CommandError
    ? error.command.stderrTail.includes('Operation not permitted')
    : (error as NodeJS.ErrnoException).code === 'EPERM';
}

async function removeAll(path: string, found: Stats): Promise<void> {
  if (found.isDirectory() && (await isBtrfs(path))) await removeSubvolumesBelow(path);
  const args = ['--recursive', '--force', '--one-file-system', '--', path];
  await run('rm', args, { timeoutSec: 0 });
}

/** Nothing is mounted on a link, and it may lead nowhere. */
async function refuseMounts(path: string, found: Stats): Promise<void> {
  const mounts = found.isSymbolicLink() ? [] : await mountsAt(await realpath(path));
  if (mounts.length === 0) return;
  throw new HostError(`"${path}" is not removed, because something is mounted there.`, {
    details: mounts,
    hint: 'Unmount it with umount, then try again.',
  });
}
