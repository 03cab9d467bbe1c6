/**
 * The only destroyer of machines: cleanup, a repeated prepare and the reaper call it. It may be
 * called for anything from nothing to a machine in full run, tries every step whatever failed
 * before, and returns when the machine is proved gone.
 */
import { lstat, mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HostError } from '../errors.ts';
import { powerOff } from '../tools/machinectl.ts';
import { killUnit, resetFailed, showUnit, stopUnit } from '../tools/systemctl.ts';
import { isPopulated, machineCgroup } from './cgroup.ts';
import { jobDirectory, trashDirectory, type JobDirectory } from './job-directory.ts';
import { unitName } from './names.ts';
import { startSweep, trashName } from './trash.ts';

const STOP_WAIT_SEC = 30;
const POLL_MS = 10;

export interface DestroyOptions {
  readonly stateDir: string;
  readonly machine: string;
  /** How long the machine may take to power off; 0 kills at once. */
  readonly stopTimeoutSec: number;
  /** Ends the wait for the power-off; the rest is done all the same. */
  readonly signal?: AbortSignal | undefined;
}

/** @throws HostError that lists what is left and where. */
export async function destroyMachine(options: DestroyOptions): Promise<void> {
  const { stateDir, machine, stopTimeoutSec } = options;
  const directory = jobDirectory(stateDir, machine);
  const failures: unknown[] = [];
  const attempt = async (step: () => Promise<unknown>): Promise<void> => {
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  };
  const state = await unitState(machine);
  if (state !== 'absent') {
    if (state === 'active' && stopTimeoutSec > 0) {
      await attempt(() => powerOffAndWait(options, directory));
    }
    if ((await unitState(machine)) !== 'absent') {
      await attempt(() => killUnit(unitName(machine)));
      await attempt(() => stopUnit(unitName(machine), STOP_WAIT_SEC));
      await attempt(() => resetFailed(unitName(machine)));
    }
  }
  await attempt(() => discard(stateDir, directory));
  await verifyGone(machine, directory, failures);
}

/** Whether a unit or a directory has the machine's name. */
export async function leftSomething({ stateDir, machine }: DestroyOptions): Promise<boolean> {
  return (
    (await exists(jobDirectory(stateDir, machine).path)) || (await unitState(machine)) !== 'absent'
  );
}

type UnitState = 'absent' | 'active' | 'other';

async function unitState(machine: string): Promise<UnitState> {
  const unit = await showUnit(unitName(machine), ['LoadState', 'ActiveState']);
  if (unit['LoadState'] !== 'loaded') return 'absent';
  if (unit['ActiveState'] === 'active') return 'active';
  return unit['ActiveState'] === 'inactive' ? 'absent' : 'other';
}

async function powerOffAndWait(
  { machine, stopTimeoutSec, signal }: DestroyOptions,
  directory: JobDirectory,
): Promise<void> {
  const end = performance.now() + stopTimeoutSec * 1000;
  if (!(await powerOff(machine))) return;
  // ExecStopPost= has moved the directory when the unit is through.
  while (performance.now() < end && signal?.aborted !== true && (await exists(directory.path))) {
    await sleep(POLL_MS);
  }
}

/** Moves a directory that no unit took away; deleting it is the sweep's work and never the job's. */
async function discard(stateDir: string, directory: JobDirectory): Promise<void> {
  if (!(await exists(directory.path))) return;
  const item = trashName(directory.path);
  await mkdir(trashDirectory(stateDir), { recursive: true, mode: 0o700 });
  await rename(directory.path, join(trashDirectory(stateDir), item));
  await startSweep(stateDir, item);
}

async function verifyGone(
  machine: string,
  directory: JobDirectory,
  failures: readonly unknown[],
): Promise<void> {
  const left: string[] = [];
  if ((await unitState(machine)) !== 'absent') left.push(`unit ${unitName(machine)}`);
  if (isPopulated(machineCgroup(machine))) {
    left.push(`processes in ${machineCgroup(machine)}`);
  }
  if (await exists(directory.path)) left.push(`directory ${directory.path}`);
  if (left.length === 0) return;
  throw new HostError(`Machine "${machine}" is not wholly gone.`, {
    details: [`Left: ${left.join(', ')}.`],
    hint: `Look at \`systemctl status ${unitName(machine)}\`, then run the cleanup again.`,
    cause: failures.length > 0 ? new AggregateError(failures) : undefined,
  });
}

async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined;
}
