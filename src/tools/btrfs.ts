/**
 * btrfs(8): subvolumes, which can be copied and deleted as a whole. The tool may be missing where the
 * file system is not; the kernel itself lets root remove an empty subvolume with rmdir(2) since 4.18.
 */
import { lstatSync, readdirSync, renameSync } from 'node:fs';
import { lstat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { CommandError } from '../errors.ts';
import { runConfined, type ConfinedRun } from './confined.ts';
import { run } from './exec.ts';
import { findProgram } from './find-program.ts';

/** BTRFS_SUPER_MAGIC, statfs(2). */
const BTRFS_MAGIC = 0x9123683e;
/** BTRFS_FIRST_FREE_OBJECTID: the root of every subvolume, and nothing else, has this inode number. */
const SUBVOLUME_INODE = 256;
const DIRECTORIES_A_TURN = 500;

export async function isBtrfs(path: string): Promise<boolean> {
  return (await statfs(path)).type === BTRFS_MAGIC;
}

export async function isSubvolume(path: string): Promise<boolean> {
  const found = await lstat(path);
  return found.isDirectory() && found.ino === SUBVOLUME_INODE && (await isBtrfs(path));
}

export async function hasBtrfsTool(): Promise<boolean> {
  return (await findProgram('btrfs')) !== undefined;
}

export async function createSubvolume(path: string): Promise<void> {
  await run('btrfs', ['subvolume', 'create', '--', path]);
}

/** Of the subvolumes in it the snapshot has empty directories that nothing can be written into. */
export async function snapshotSubvolume(from: string, to: string, how: ConfinedRun): Promise<void> {
  await runConfined('btrfs', ['subvolume', 'snapshot', '--', from, to], how);
}

/**
 * Subvolumes below a directory of btrfs, each before the one it is in. Paths begin with a slash and
 * have one character a byte (latin1).
 */
export async function subvolumesBelow(
  directory: string,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  const found: string[] = [];
  const todo = [''];
  for (let count = 1; todo.length > 0; count++) {
    const at = todo.pop() ?? '';
    for (const name of subdirectories(bytesPath(directory, at))) {
      const path = `${at}/${name}`;
      todo.push(path);
      if (isSubvolumeRoot(bytesPath(directory, path))) found.push(path);
    }
    if (count % DIRECTORIES_A_TURN !== 0) continue;
    await setImmediate();
    signal?.throwIfAborted();
  }
  return found.reverse();
}

/** False where it cannot be read, as below. */
function isSubvolumeRoot(path: Buffer): boolean {
  try {
    return lstatSync(path).ino === SUBVOLUME_INODE;
  } catch {
    return false;
  }
}

/** None where it cannot be read: gone meanwhile, or deeper than a path is long. */
function subdirectories(path: Buffer): readonly string[] {
  try {
    return readdirSync(path, { encoding: 'latin1', withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}

function bytesPath(directory: string, below: string): Buffer {
  return Buffer.concat([Buffer.from(directory), Buffer.from(below, 'latin1')]);
}

/**
 * Takes the subvolumes out of a directory that is to be removed, and removes them, as far as that can
 * be done: what stays is told by the removal that follows. rm(1) with `--one-file-system` takes each
 * for another file system.
 * @throws at the end the first failure that an immutable file can be the reason of.
 */
export async function removeSubvolumesBelow(
  directory: string,
  signal?: AbortSignal,
): Promise<void> {
  const hasTool = await hasBtrfsTool();
  const paths = await subvolumesBelow(directory, signal);
  if (hasTool) for (const path of paths) await makeWritable(bytesPath(directory, path));
  let failure: unknown;
  for (const [at, path] of paths.entries()) {
    signal?.throwIfAborted();
    // A name of ours can be an argument whatever bytes the old one had.
    const place = join(directory, `.subvolume-${process.pid}-${at}`);
    try {
      renameSync(bytesPath(directory, path), place);
      await removeSubvolume(place, { hasTool, signal });
    } catch (error) {
      const isForbidden = (error as NodeJS.ErrnoException).code === 'EPERM';
      if (isForbidden || error instanceof CommandError) failure ??= error;
    }
  }
  if (failure !== undefined) throw failure as Error;
}

/** A read-only one cannot be moved, nor can what is in it be removed: rename(2), EROFS. */
async function makeWritable(path: Buffer): Promise<void> {
  const name = path.toString();
  // An argument is text; what none can be is left as it is.
  if (!Buffer.from(name).equals(path)) return;
  const args = ['property', 'set', '-f', '-t', 'subvol', name, 'ro', 'false'];
  await run('btrfs', args, { okStatuses: [0, 1] });
}

interface HowToRemove {
  readonly hasTool: boolean;
  readonly signal: AbortSignal | undefined;
}

async function removeSubvolume(path: string, { hasTool, signal }: HowToRemove): Promise<void> {
  if (hasTool) {
    const { status } = await run('btrfs', ['subvolume', 'delete', '--', path], {
      okStatuses: [0, 1],
    });
    if (status === 0) return;
  }
  const args = ['--recursive', '--force', '--one-file-system', '--', path];
  await run('rm', args, { timeoutSec: 0, signal });
}
