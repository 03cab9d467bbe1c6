/**
 * Trees on the disk: directories on any file system, subvolumes on btrfs, where a copy is a snapshot.
 * Space is shared where the file system can: snapshots, then reflinks, then nothing.
 */
import { chmod, lstat, mkdir, rmdir, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HostError } from '../errors.ts';
import {
  createSubvolume,
  hasBtrfsTool,
  isBtrfs,
  isSubvolume,
  snapshotSubvolume,
  subvolumesBelow,
} from '../tools/btrfs.ts';
import type { ConfinedRun } from '../tools/confined.ts';
import { copyWithAttributes } from '../tools/cp.ts';
import { removeTree } from '../tools/rm.ts';
import { copyTimes } from '../tools/touch.ts';
import { canReflink } from './reflink.ts';

export { shareWith } from './share-tree.ts';

/** Makes the directory that a tree is put into: root's, mode 0755, a subvolume on btrfs. */
export async function makeTreeDirectory(path: string): Promise<void> {
  if ((await isBtrfs(dirname(path))) && (await hasBtrfsTool())) await createSubvolume(path);
  else await mkdir(path);
  await chmod(path, 0o755);
}

export type CopyKind = 'snapshot' | 'reflink' | 'copy';

/**
 * Copies a tree with everything that can be told of it: owners, modes, times, extended attributes,
 * links, holes, sockets, devices.
 * @throws HostError when `to` is there already; CommandError when the copy is not whole.
 */
export async function copyTree(from: string, to: string, how: ConfinedRun): Promise<CopyKind> {
  if ((await lstat(to).catch(() => undefined)) !== undefined) {
    throw new HostError(`"${to}" is there already; nothing is copied over it.`);
  }
  const nested = await snapshotPlan(from, to);
  if (nested !== undefined) {
    await snapshotSubvolume(from, to, how);
    for (const path of nested) await copySubvolume(from, to, path, how);
    return 'snapshot';
  }
  const shares = (await isSameFileSystem(from, dirname(to))) && (await canReflink(dirname(to)));
  await makeTreeDirectory(to);
  await copyWithAttributes(from, to, how);
  return shares ? 'reflink' : 'copy';
}

/** The outermost subvolumes in a tree that can be copied by a snapshot; undefined where it cannot. */
async function snapshotPlan(from: string, to: string): Promise<readonly string[] | undefined> {
  if (!(await isSubvolume(from)) || !(await hasBtrfsTool())) return undefined;
  if (!(await isSameFileSystem(from, dirname(to)))) return undefined;
  const all = await subvolumesBelow(from);
  const outermost = all.filter((path) => !all.some((other) => path.startsWith(`${other}/`)));
  // What is not ASCII would have to be UTF-8 to be an argument.
  return outermost.every((path) => /^[\x20-\x7e]*$/.test(path)) ? outermost : undefined;
}

/** By number; each subvolume of btrfs has one of its own, so there the size must do. */
async function isSameFileSystem(a: string, b: string): Promise<boolean> {
  if ((await lstat(a)).dev === (await lstat(b)).dev) return true;
  if (!(await isBtrfs(a)) || !(await isBtrfs(b))) return false;
  return (await statfs(a)).blocks === (await statfs(b)).blocks;
}

/** Where a subvolume was, a snapshot has an empty directory that can only be removed. */
async function copySubvolume(
  from: string,
  to: string,
  path: string,
  how: ConfinedRun,
): Promise<void> {
  await rmdir(join(to, path));
  await copyWithAttributes(join(from, path), join(to, path), how);
  await copyTimes(dirname(join(from, path)), dirname(join(to, path)));
}

/** Removes a version's or a build's directory with all that is in it, subvolumes too. */
export async function removeTreeDirectory(path: string): Promise<void> {
  await removeTree(path);
}

export interface FreeSpace {
  /** For everybody: less than what root alone may still use. */
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** Infinity where the file system makes inodes as it needs them. */
  readonly freeInodes: number;
}

export async function freeSpace(path: string): Promise<FreeSpace> {
  const { bsize, blocks, bavail, files, ffree } = await statfs(path);
  return {
    freeBytes: bavail * bsize,
    totalBytes: blocks * bsize,
    freeInodes: files === 0 ? Infinity : ffree,
  };
}
