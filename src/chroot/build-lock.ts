/**
 * One build of a name at a time. The lock is the kernel's, on an open file that mmdebstrap and all
 * that it starts hold too: when it is free, nobody writes into a build of this name any more, even
 * if its builder was killed.
 */
import { lstat, open, readdir, rmdir, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError } from '../errors.ts';
import { tryLock } from '../tools/flock.ts';
import { unmountBelow } from '../tools/mount.ts';
import { removeTree } from '../tools/rm.ts';
import { treeCommandRemains } from '../tools/systemd-nspawn-command.ts';
import { buildMachine } from './build-command.ts';
import { chrootDir, isChrootName } from './store.ts';
import { removeTreeDirectory } from './tree-storage.ts';
import { isSurelyWrite, writeFailure } from './write-failure.ts';

export const BUILDING = 'building-';
/** Of one who makes a directory that others remove meanwhile. */
const MAX_LOOKS = 10;

export interface BuildPlace {
  readonly name: string;
  readonly dir: string;
  /** Makes the directory where it is not there, or not any more; without it that is a failure. */
  readonly makeDirectory?: () => Promise<void>;
}

/**
 * Runs `build` with the lock of the chroot's directory, which is there.
 * @throws HostError when someone else has it, or has removed the directory.
 */
export async function withBuildLock<T>(
  name: string,
  dir: string,
  build: (lockFd: number) => Promise<T>,
): Promise<T> {
  return withBuildLockIn({ name, dir }, build);
}

/**
 * The same for one who makes the directory.
 * @throws HostError when someone else has the lock, or it cannot be written.
 */
export async function withBuildLockIn<T>(
  place: BuildPlace,
  build: (lockFd: number) => Promise<T>,
): Promise<T> {
  const file = await lockedFile(place);
  try {
    await notePid(file);
    await sweepUnfinished(place.dir);
    return await build(file.fd);
  } finally {
    await file.close();
  }
}

/** Who removes a chroot removes the lock's file too, while others wait for it: they begin again. */
async function lockedFile(place: BuildPlace): Promise<FileHandle> {
  for (let look = 1; ; look++) {
    const file = await openLock(place, look);
    if (file === undefined) continue;
    try {
      if (!(await tryLock(file.fd))) throw await busy(place.name, file);
      if (await isStill(lockPath(place.dir), file)) {
        // What a remover took before we had the lock.
        await place.makeDirectory?.();
        return file;
      }
    } catch (error) {
      await file.close();
      throw error;
    }
    await file.close();
  }
}

/** For people alone: on a full disk, what makes room must not fail for it. */
async function notePid(file: FileHandle): Promise<void> {
  try {
    await file.truncate(0);
    await file.write(`${process.pid}\n`);
  } catch (error) {
    if (!isSurelyWrite(error)) throw error;
  }
}

/** Undefined when the directory went as soon as it was made. */
async function openLock(
  { name, dir, makeDirectory }: BuildPlace,
  look: number,
): Promise<FileHandle | undefined> {
  try {
    await makeDirectory?.();
    return await open(lockPath(dir), 'a+', 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw writeFailure(error, dir);
    if (makeDirectory !== undefined && look < MAX_LOOKS) return undefined;
    throw new HostError(`Chroot "${name}" is not there any more.`, {
      details: [`"${dir}" was removed.`],
      hint: `Make it with: nspawn-runner chroot create ${name}`,
      cause: error,
    });
  }
}

/** Whether the locked file is the one that others find. */
async function isStill(path: string, file: FileHandle): Promise<boolean> {
  const there = await lstat(path).catch(() => undefined);
  const ours = await file.stat();
  return there?.ino === ours.ino && there.dev === ours.dev;
}

const LOCK = 'build.lock';

function lockPath(dir: string): string {
  return join(dir, LOCK);
}

/**
 * Removes a chroot's directory by one who has its lock. The lock's file goes last and once: whoever
 * makes the chroot anew from then on has a lock of his own, and keeps the directory.
 */
export async function removeLocked(dir: string): Promise<void> {
  for (const entry of await readdir(dir)) {
    if (entry !== LOCK) await removeTree(join(dir, entry));
  }
  await unlink(lockPath(dir));
  try {
    await rmdir(dir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw error;
  }
}

async function busy(name: string, file: FileHandle): Promise<HostError> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(32), 0, 32, 0);
  const pid = buffer.toString('utf8', 0, bytesRead).trim();
  return new HostError(`Chroot "${name}" is being built already.`, {
    details: [`Process ${pid === '' ? 'unknown' : pid} or what it started has not ended.`],
    hint: 'Wait until it has ended, then try again.',
  });
}

/** What a killed build left; `current` and the versions are never among it. */
async function sweepUnfinished(dir: string): Promise<void> {
  for (const path of treeCommandRemains(buildMachine(dir))) await removeRemains(path);
  const names = await readdir(dir);
  for (const entry of names.filter((entry) => entry.startsWith(BUILDING))) {
    await removeTreeDirectory(join(dir, entry));
  }
}

async function removeRemains(path: string): Promise<void> {
  await unmountBelow(path);
  await removeTree(path);
}

export interface UnfinishedBuilds {
  readonly chroot: string;
  /** Entries of the chroot's directory, and what a killed systemd-nspawn left is called. */
  readonly names: readonly string[];
}

/** Builds that are at work or were killed, by chroot. */
export async function unfinishedBuilds(stateDir: string): Promise<readonly UnfinishedBuilds[]> {
  const chroots = await readdir(join(stateDir, 'chroots')).catch(() => []);
  const found = chroots.filter(isChrootName).map(async (chroot) => {
    const dir = chrootDir(stateDir, chroot);
    const names = await readdir(dir).catch(() => []);
    const unfinished = names.filter((name) => name.startsWith(BUILDING));
    const machine = buildMachine(dir);
    const hasRemains = treeCommandRemains(machine).length > 0;
    return { chroot, names: hasRemains ? [...unfinished, machine] : unfinished };
  });
  return (await Promise.all(found)).filter(({ names }) => names.length > 0);
}

/** Whether somebody builds the chroot; changes nothing. */
export async function isBuildLocked(stateDir: string, chroot: string): Promise<boolean> {
  const path = lockPath(chrootDir(stateDir, chroot));
  const file = await open(path, 'r').catch(() => undefined);
  if (file === undefined) return false;
  try {
    return !(await tryLock(file.fd, 0));
  } finally {
    await file.close();
  }
}

/**
 * Removes what a killed build left.
 * @throws HostError when somebody builds the chroot.
 */
export async function sweepBuilds(stateDir: string, chroot: string): Promise<void> {
  await withBuildLock(chroot, chrootDir(stateDir, chroot), () => Promise.resolve());
}
