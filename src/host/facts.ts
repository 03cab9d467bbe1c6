/** Reads the host for `check`; what it means is decided in the pure files beside this one. */
import { mkdir, mkdtemp, readFile, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { tryOverlay } from '../tools/mount.ts';
import { fileSystemName, type StateDirectory } from './storage.ts';
import type { CgroupFacts, KernelLimits } from './system.ts';

const CGROUPS = '/sys/fs/cgroup';
const SYSCTLS = '/proc/sys';

export function readCgroups(): Promise<CgroupFacts> {
  return controllersOf(CGROUPS).then(async (controllers) => {
    if (controllers !== undefined) return { layout: 'v2', controllers };
    const beside = await controllersOf(join(CGROUPS, 'unified'));
    return beside === undefined
      ? { layout: 'v1', controllers: [] }
      : { layout: 'hybrid', controllers: beside };
  });
}

async function controllersOf(root: string): Promise<readonly string[] | undefined> {
  const text = await readText(join(root, 'cgroup.controllers'));
  return text?.split(/\s+/).filter((word) => word !== '');
}

export async function readKernelLimits(): Promise<KernelLimits> {
  const [inotifyInstances, keys, pidMax] = await Promise.all(
    ['fs/inotify/max_user_instances', 'kernel/keys/maxkeys', 'kernel/pid_max'].map(readNumber),
  );
  return { inotifyInstances, keys, pidMax };
}

async function readNumber(sysctl: string): Promise<number | undefined> {
  const text = await readText(join(SYSCTLS, sysctl));
  return text === undefined ? undefined : Number(text);
}

/** @param mayMount whether an overlay is tried there; it takes root. */
export async function readStateDirectory(path: string, mayMount: boolean): Promise<StateDirectory> {
  const mode = await stat(path).then(
    (found) => found.mode,
    () => undefined,
  );
  const { type, bavail, bsize } = await statfs(await nearest(path));
  return {
    path,
    mode,
    fileSystem: fileSystemName(type),
    freeBytes: bavail * bsize,
    overlay: mayMount && mode !== undefined ? await overlayTrial(path) : undefined,
  };
}

/** The directory, or the nearest one above it that is there. */
async function nearest(path: string): Promise<string> {
  const isThere = await stat(path).then(
    () => true,
    () => false,
  );
  return isThere || path === '/' ? path : nearest(dirname(path));
}

async function overlayTrial(stateDir: string): Promise<string> {
  const top = await mkdtemp(join(stateDir, '.check-'));
  try {
    const directories = {
      lower: join(top, 'lower'),
      upper: join(top, 'upper'),
      work: join(top, 'work'),
      merged: join(top, 'merged'),
    };
    await Promise.all(Object.values(directories).map((directory) => mkdir(directory)));
    return (await tryOverlay(directories)) ?? '';
  } finally {
    await rm(top, { recursive: true, force: true });
  }
}

/** The text of a file, undefined when it cannot be read. */
export function readText(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(() => undefined);
}
