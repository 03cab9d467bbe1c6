/**
 * One build of a name at a time. The lock is the kernel's, on an open file that mmdebstrap and all
 * that it starts hold too: when it is free, nobody writes into a build of this name any more, even
 * if its builder was killed.
 */
import { open, readdir, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError } from '../errors.ts';
import { tryLock } from '../tools/flock.ts';
import { unmountBelow } from '../tools/mount.ts';
import { removeTree } from '../tools/rm.ts';
import { treeCommandRemains } from '../tools/systemd-nspawn-command.ts';
import { buildMachine } from './build-command.ts';
import { chrootDir, isChrootName } from './store.ts';
import { removeTreeDirectory } from './tree-storage.ts';

export const BUILDING = 'building-';

/**
 * Runs `build` with the lock of the chroot's directory.
 * @throws HostError when someone else has it.
 */
export async function withBuildLock<T>(
  name: string,
  dir: string,
  build: (lockFd: number) => Promise<T>,
): Promise<T> {
  const file = await open(join(dir, 'build.lock'), 'a+', 0o600);
  try {
    if (!(await tryLock(file.fd))) throw await busy(name, file);
    await file.truncate(0);
    await file.write(`${process.pid}\n`);
    await sweepUnfinished(dir);
    return await build(file.fd);
  } finally {
    await file.close();
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
  const path = join(chrootDir(stateDir, chroot), 'build.lock');
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
