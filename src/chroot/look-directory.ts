/**
 * Where a look at what upstream offers keeps its files. It has no lock, since it makes nothing; so
 * each directory names its process, and what a killed one left goes with the next look or reap.
 */
import { mkdir, mkdtemp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { currentBootId, identifyProcess, isAlive } from '../process-identity.ts';
import { removeTree } from '../tools/rm.ts';

/** In memory: none outlives a boot. */
const LOOKS = '/run/nspawn-runner/looks';

/** Calls `work` with an empty directory of root's alone. */
export async function withLookDirectory<T>(work: (dir: string) => Promise<T>): Promise<T> {
  await mkdir(LOOKS, { recursive: true, mode: 0o700 });
  for (const path of await abandonedLooks()) await removeTree(path);
  const startTime = identifyProcess(process.pid)?.startTime ?? '0';
  const dir = await mkdtemp(join(LOOKS, `${process.pid}-${startTime}-`));
  try {
    return await work(dir);
  } finally {
    await removeTree(dir);
  }
}

/** Paths of those whose process is gone. */
export async function abandonedLooks(): Promise<readonly string[]> {
  const bootId = currentBootId();
  const names = await readdir(LOOKS).catch(() => []);
  return names
    .filter((name) => {
      const [, pid, startTime = ''] = /^(\d+)-(\d+)-/.exec(name) ?? [];
      return pid !== undefined && !isAlive({ pid: Number(pid), startTime, bootId });
    })
    .map((name) => join(LOOKS, name));
}
