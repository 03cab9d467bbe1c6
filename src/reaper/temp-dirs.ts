/** GitLab Runner's temporary directories of jobs of ours: they hold secrets, and stay when it is killed. */
import { lstatSync, rmSync } from 'node:fs';
import { readHostProcesses, type HostProcess } from '../machine/host-processes.ts';
import { listTempDirs, readMark, tempRoots, type MarkedTempDir } from '../machine/temp-dir.ts';
import { unmountBelow } from '../tools/mount.ts';
import { removeTree } from '../tools/rm.ts';
import { lifeOf } from './collect-jobs.ts';
import { keep, remove, type Case, type Verdict } from './finding.ts';
import type { Life } from './job-evidence.ts';

/** One case for each directory that is marked. */
export function tempDirCases(stateDir: string, processes: readonly HostProcess[]): readonly Case[] {
  return listTempDirs(stateDir).map((dir) => ({
    machine: dir.machine,
    things: [{ kind: 'temp-dir', name: dir.path }],
    verdict: judgeTempDir(
      { runner: lifeOf(dir.runnerProcess), users: usersOf(dir, processes) },
      dir,
    ),
    remove: () => removeTempDir(dir),
  }));
}

export interface TempDirEvidence {
  readonly runner: Life;
  /** Processes that have it as their TMPDIR. */
  readonly users: readonly number[];
}

/** Pure. */
export function judgeTempDir(
  { runner, users: [user] }: TempDirEvidence,
  { runnerProcess }: Pick<MarkedTempDir, 'runnerProcess'>,
): Verdict {
  if (user !== undefined) return keep('a stage of the job runs', `process ${user}`);
  const pid = String(runnerProcess?.pid);
  switch (runner) {
    case 'lives':
      return keep('its GitLab Runner lives', `process ${pid}`);
    case 'gone':
      return remove('its GitLab Runner is gone', `process ${pid} is gone`, 'no stage runs');
    case 'unknown':
      return keep('nothing proves its GitLab Runner dead');
  }
}

function usersOf({ path }: MarkedTempDir, processes: readonly HostProcess[]): number[] {
  return processes
    .filter(({ tmpDir, inMachine }) => tmpDir === path && inMachine === undefined)
    .map(({ pid }) => pid);
}

async function removeTempDir(dir: MarkedTempDir): Promise<string | undefined> {
  const { path, machine } = dir;
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
  if (readMark(path)?.machine !== machine) return 'it is another job’s now';
  // Its Runner starts no stage any more, and what it had started by then is seen now.
  const [user] = usersOf(dir, readHostProcesses());
  if (user !== undefined) return `a stage of the job runs: process ${user}`;
  await unmountBelow(path);
  await removeTree(path);
  return undefined;
}

/** Forgets places where nothing can be any more. */
export function forgetLostRoots(stateDir: string): void {
  for (const file of tempRoots(stateDir).gone) rmSync(file, { force: true });
}
