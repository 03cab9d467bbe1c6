/**
 * What outlives a job on purpose: the project's cache and, where the operator keeps them, its
 * builds. The path is made of the trusted identity, so no project reaches another's.
 */
import { createHash } from 'node:crypto';
import { lstat, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isAlive } from '../process-identity.ts';
import { giveTree } from '../tools/chown.ts';
import { showUnit } from '../tools/systemctl.ts';
import type { Account } from './account.ts';
import { jobDirectory, jobsDirectory } from './job-directory.ts';
import { withLock } from './lock.ts';
import { originHash, unitName, type MachineIdentity } from './names.ts';
import { readUsableRecord, type MachineRecord } from './record.ts';

/** It is held for as long as a few records take to read. */
const LOCK_WAIT_SEC = 60;

export interface KeptProject extends MachineIdentity {
  readonly projectId: string;
}

export function cachePath(stateDir: string, { origin, projectId }: KeptProject): string {
  return join(stateDir, 'cache', originHash(origin), projectId);
}

/**
 * One directory a runner and slot. The slot is a variable that the job's author can set, which at
 * worst makes two jobs of his own project meet; see `withBuilds`.
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

/** Whose builds they are to be. */
export interface BuildsUser {
  readonly stateDir: string;
  readonly builds: string;
  readonly machine: string;
}

/**
 * Runs `work`, which writes the machine's record, with the builds, or without where another machine
 * has them. Two that look at the same time would both find them free: hence the lock until it is written.
 */
export async function withBuilds<T>(
  user: BuildsUser,
  signal: AbortSignal,
  work: (builds: string | undefined) => T,
): Promise<T> {
  // A lock is a file's name, which has 255 bytes and no slash.
  const lock = `builds-${createHash('sha256').update(user.builds).digest('hex').slice(0, 32)}`;
  return withLock(lock, { waitSec: LOCK_WAIT_SEC, signal }, async () =>
    work((await isInUse(user)) ? undefined : user.builds),
  );
}

async function isInUse({ stateDir, builds, machine }: BuildsUser): Promise<boolean> {
  const names = await readdir(jobsDirectory(stateDir)).catch(() => []);
  for (const name of names) {
    if (name === machine) continue;
    const record = readUsableRecord(jobDirectory(stateDir, name).record);
    if (record?.keptBuilds === builds && (await isInHand(name, record))) return true;
  }
  return false;
}

/** Between the record and the unit, and while chown(1) is at work, there is only who prepares it. */
async function isInHand(machine: string, { creator }: MachineRecord): Promise<boolean> {
  if (creator !== undefined && isAlive(creator)) return true;
  const { ActiveState: state = 'inactive' } = await showUnit(unitName(machine), ['ActiveState']);
  return state !== 'inactive' && state !== 'failed';
}
