/** GitLab's cleanup stage: the job's machine is gone when it returns; another attempt's stays. */
import { readdir } from 'node:fs/promises';
import type { StageArguments } from '../cli.ts';
import { jobTmpDir, readJob } from '../gitlab/job.ts';
import { destroyMachine, endStragglers } from '../machine/destroy.ts';
import { jobDirectory, jobsDirectory } from '../machine/job-directory.ts';
import { lockHolder, withLock } from '../machine/lock.ts';
import { markedEnvironment } from '../marks.ts';
import { machineName } from '../machine/names.ts';
import { isOfOtherAttempt } from '../machine/other-attempt.ts';
import { readUsableRecord, type MachineRecord } from '../machine/record.ts';
import { hasRunnersName } from '../machine/temp-dir-mark.ts';
import { requireRoot } from '../root.ts';
import { stageState } from '../stage-state.ts';
import { markChildren } from '../tools/exec.ts';

const DEFAULT_STOP_TIMEOUT_SEC = 3;
/** A prepare stage that is being stopped, or the reaper, may have to be waited for. */
const LOCK_WAIT_SEC = 120;

export async function cleanup(args: StageArguments, signal: AbortSignal): Promise<number> {
  requireRoot('cleanup');
  const { stateDir, trustJobIdVariable } = await stageState(args.settings);
  const job = readJob({ ...args, trustJobIdVariable, forCleanup: true });
  const machine = job === undefined ? await provedByTmpDir(stateDir) : machineName(job);
  if (machine === undefined) return 0;
  const { record: path } = jobDirectory(stateDir, machine);
  if (isOthers(readUsableRecord(path))) return 0;
  const onBusy = async (): Promise<void> => {
    await endStragglers({ machine, holder: lockHolder(machine) });
  };
  await withLock(machine, { waitSec: LOCK_WAIT_SEC, onBusy, signal }, async () => {
    const record = readUsableRecord(path);
    // It may have been made while the lock was waited for.
    if (isOthers(record)) return;
    const tag = record?.tag ?? job?.tag;
    if (tag !== undefined) markChildren(markedEnvironment({ machine, tag }));
    await destroyMachine({
      stateDir,
      machine,
      tag,
      stopTimeoutSec: record?.stopTimeoutSec ?? DEFAULT_STOP_TIMEOUT_SEC,
      signal,
    });
  });
  return 0;
}

function isOthers(record: MachineRecord | undefined): boolean {
  return record !== undefined && isOfOtherAttempt(record, jobTmpDir());
}

/**
 * Without a response file (disk full, GitLab Runner before 14.1) only a record that names the very
 * temporary directory that GitLab Runner gave this attempt is acted on; all else is the reaper's.
 */
async function provedByTmpDir(stateDir: string): Promise<string | undefined> {
  const tmpDir = jobTmpDir();
  // A wrapper may have set /var/tmp for every job: it proves none of them.
  if (tmpDir === undefined || !hasRunnersName(tmpDir)) return undefined;
  for (const name of await readdir(jobsDirectory(stateDir)).catch(() => [])) {
    const record = readUsableRecord(jobDirectory(stateDir, name).record);
    if (record?.tmpDir === tmpDir && record.machine === name) return name;
  }
  return undefined;
}
