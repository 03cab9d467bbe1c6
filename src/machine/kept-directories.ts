/**
 * What outlives a job on purpose: the project's cache and, where the operator keeps them, its
 * builds. The path is made of the trusted identity, so no project reaches another's.
 */
import { lstat, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { giveTree } from '../tools/chown.ts';
import type { Account } from './account.ts';
import { jobDirectory, jobsDirectory } from './job-directory.ts';
import { isRunning } from './machine-end.ts';
import { originHash, type MachineIdentity } from './names.ts';
import { readUsableRecord } from './record.ts';

export interface KeptProject extends MachineIdentity {
  readonly projectId: string;
}

export function cachePath(stateDir: string, { origin, projectId }: KeptProject): string {
  return join(stateDir, 'cache', originHash(origin), projectId);
}

/**
 * One directory a runner and slot. The slot is a variable that the job's author can set, which at
 * worst makes two jobs of his own project meet; see `isInUse`.
 */
export function buildsPath(
  stateDir: string,
  { origin, projectId }: KeptProject,
  slot: { readonly runner: string | undefined; readonly slot: string },
): string {
  const runner = (slot.runner ?? 'runner').replaceAll(/[^A-Za-z0-9_-]/g, '_');
  return join(stateDir, 'builds', originHash(origin), projectId, `${runner}-${slot.slot}`);
}

/**
 * Makes the directory for the user that runs the scripts; what is above it is root's alone. All in
 * it goes to him too: where the operator has changed `user`, he could write to none of it.
 */
export async function makeKept(path: string, owner: Account, signal: AbortSignal): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
  await mkdir(path, { recursive: true, mode: 0o755 });
  const { uid, gid } = await lstat(path);
  if (uid !== owner.uid || gid !== owner.gid) await giveTree(path, owner, signal);
}

/** Whether another living machine has these builds. */
export async function isInUse(stateDir: string, builds: string, machine: string): Promise<boolean> {
  const names = await readdir(jobsDirectory(stateDir)).catch(() => []);
  for (const name of names) {
    if (name === machine) continue;
    const record = readUsableRecord(jobDirectory(stateDir, name).record);
    if (record?.keptBuilds === builds && (await isRunning(name))) return true;
  }
  return false;
}
