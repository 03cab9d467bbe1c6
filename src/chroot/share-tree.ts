/**
 * A tree that was built anew has mostly the files of the version before it, and need not have the
 * blocks a second time. Files that are equal to the byte get the old ones' blocks by a reflink; the
 * old tree is only read.
 */
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  lstatSync,
  openSync,
  readSync,
  type Stats,
} from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { Stopped } from '../errors.ts';
import { isBtrfs } from '../tools/btrfs.ts';
import type { ConfinedRun } from '../tools/confined.ts';
import { copyAttributes } from '../tools/cp.ts';
import { canReflink } from './reflink.ts';
import { pathOnHost, walkTree } from './tree-list.ts';

/** btrfs(5), max_inline: content that is kept beside the name has no blocks to share. */
const BTRFS_INLINE_BYTES = 2048;
const COMPARED_BYTES = 256 * 1024;
const BYTES_A_TURN = 16 * 1024 * 1024;
const FILES_A_TURN = 100;

/**
 * Lets files of `tree` share the blocks of files of `previous` with the same path and content. All
 * attributes of `tree` stay as they are, nothing of `previous` changes.
 * @returns bytes that are shared now; 0 where the file system cannot.
 * @throws Stopped when `signal` said so; the tree is then unfinished, and its builder removes it.
 */
export async function shareWith(tree: string, previous: string, how: ConfinedRun): Promise<number> {
  const beside = dirname(tree);
  if (!(await canReflink(beside))) return 0;
  const least = (await isBtrfs(tree)) ? BTRFS_INLINE_BYTES + 1 : 1;
  const equal = await equalFiles({ tree, previous, least }, how.signal);
  if (equal.length === 0) return 0;
  const temp = await mkdtemp(join(beside, '.sharing-'));
  try {
    const namesFile = join(temp, 'names');
    const attributes = join(temp, 'attributes');
    await mkdir(attributes);
    const names = equal.map(({ path }) => Buffer.from(`.${path}\0`, 'latin1'));
    await writeFile(namesFile, Buffer.concat(names));
    // Writing takes a file's capabilities, set-user-ID bit and time; they are put by before.
    await copyAttributes({ namesFile, from: tree, to: attributes }, how);
    const shared = await cloneFiles({ tree, previous, equal }, how.signal);
    await copyAttributes({ namesFile, from: attributes, to: tree }, how);
    return shared;
  } finally {
    await rm(temp, { recursive: true });
  }
}

interface EqualFile {
  readonly path: string;
  readonly size: number;
}

interface Comparison {
  readonly tree: string;
  readonly previous: string;
  /** Smaller files are not worth it. */
  readonly least: number;
}

async function equalFiles(
  { tree, previous, least }: Comparison,
  signal: AbortSignal,
): Promise<readonly EqualFile[]> {
  const equal: EqualFile[] = [];
  // Directories of both: whatever else is there in the version before may be a link that leads out of it.
  const common = new Set(isChangeable(tree) ? [''] : []);
  const turn = turns(signal);
  for await (const batch of walkTree(tree)) {
    for (const { path, kind } of batch) {
      if (kind !== 'file' && kind !== 'directory') continue;
      if (!common.has(path.slice(0, path.lastIndexOf('/')))) continue;
      const [ours, theirs] = [pathOnHost(tree, path), pathOnHost(previous, path)];
      const old = lstatOrNone(theirs);
      if (kind === 'directory') {
        if (old?.isDirectory() === true && isChangeable(ours)) common.add(path);
        continue;
      }
      const stat = lstatSync(ours);
      if (old?.isFile() !== true || old.size !== stat.size || stat.size < least) continue;
      if (isSnapshotOf(stat, old)) continue;
      await turn(stat.size);
      if (haveEqualContent(ours, theirs) && isChangeable(ours))
        equal.push({ path, size: stat.size });
    }
  }
  return equal;
}

/** Not what a recipe made immutable or append-only: its attributes could not be given back. */
function isChangeable(path: string | Buffer): boolean {
  try {
    chmodSync(path, lstatSync(path).mode & 0o7777);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
    return false;
  }
}

/** A snapshot's file that nobody has touched has the blocks already. */
function isSnapshotOf(stat: Stats, old: Stats): boolean {
  return stat.ino === old.ino && stat.ctimeMs === old.ctimeMs;
}

function lstatOrNone(path: string | Buffer): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

const buffers = [Buffer.alloc(COMPARED_BYTES), Buffer.alloc(COMPARED_BYTES)] as const;

function haveEqualContent(a: string | Buffer, b: string | Buffer): boolean {
  // Reading leaves no time of access in the version before.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NOATIME;
  const one = openSync(a, flags);
  try {
    const other = openSync(b, flags);
    try {
      return isSameToTheEnd(one, other);
    } finally {
      closeSync(other);
    }
  } finally {
    closeSync(one);
  }
}

function isSameToTheEnd(one: number, other: number): boolean {
  const [mine, theirs] = buffers;
  for (;;) {
    const read = readSync(one, mine);
    if (read !== readSync(other, theirs)) return false;
    if (read === 0) return true;
    if (mine.compare(theirs, 0, read, 0, read) !== 0) return false;
  }
}

interface Cloning {
  readonly tree: string;
  readonly previous: string;
  readonly equal: readonly EqualFile[];
}

/** In place: the names of a file stay names of one file, and directories keep their times. */
async function cloneFiles(
  { tree, previous, equal }: Cloning,
  signal: AbortSignal,
): Promise<number> {
  let shared = 0;
  const turn = turns(signal);
  for (const { path, size } of equal) {
    await turn(0);
    // Where a file cannot share, as those without copy on write, it gets the same bytes again.
    const from = pathOnHost(previous, path);
    copyFileSync(from, pathOnHost(tree, path), constants.COPYFILE_FICLONE);
    shared += size;
  }
  return shared;
}

/** Lets others have a turn every few files, and stops where we are told to. */
function turns(signal: AbortSignal): (bytes: number) => Promise<void> {
  let [files, read] = [0, 0];
  return async (bytes) => {
    files += 1;
    read += bytes;
    if (files < FILES_A_TURN && read < BYTES_A_TURN) return;
    [files, read] = [0, 0];
    await setImmediate();
    if (signal.aborted) throw new Stopped('The comparison of two versions was stopped.');
  };
}
