/**
 * Whether jobs can use a tree: a machine is booted from it as a job's is, looked at, and destroyed.
 * On the host it is a job like any other, with a record, a lock and a unit that PID 1 ends; whoever
 * tries is its creator, and when he is gone the reaper takes it away.
 */
import { randomInt } from 'node:crypto';
import { Stopped } from '../errors.ts';
import { destroyMachine, endStragglers } from './destroy.ts';
import { jobDirectory } from './job-directory.ts';
import { lockHolder, withLock } from './lock.ts';
import type { MachineBase } from './machine-base.ts';
import { machineName } from './names.ts';
import { prepareMachine, type MachinePlan } from './prepare-machine.ts';
import {
  builtInChecks,
  CHECK_SEC,
  runCheck,
  type TrialCheck,
  type TrialFailure,
} from './trial-check.ts';
import { findState, STATE_WAIT_SEC } from './trial-state.ts';

/** RFC 2606: no GitLab instance can have that name. */
const ORIGIN = 'trial.invalid';
const LOCK_WAIT_SEC = 120;
/** Beyond what boot and checks may take. */
const MARGIN_SEC = 120;

export interface TrialPlan {
  readonly stateDir: string;
  /** Its tree need not be in place yet. Binds are left out, and it has no network. */
  readonly base: MachineBase;
  /** The recipe's. */
  readonly checks: readonly TrialCheck[];
  /** The host's gitlab-runner. */
  readonly runnerBinary: string | undefined;
}

export interface TrialResult {
  /** From the start of the unit until the machine was ready. */
  readonly bootSec: number;
  /** As `systemctl is-system-running` has it; `unknown` when the machine does not answer. */
  readonly systemState: string;
  readonly failedUnits: readonly string[];
  /** Names of the checks that passed. */
  readonly passed: readonly string[];
  /** None for a tree that jobs can use. */
  readonly failures: readonly TrialFailure[];
}

export interface TrialHow {
  readonly signal: AbortSignal;
  /** What the trial does, and what the checks print. */
  readonly onLine: (line: string) => void;
}

/**
 * @throws HostError when no machine boots from the tree, or it cannot be destroyed again; Stopped
 *   when `signal` ended it. A check that fails is a result.
 */
export async function tryChroot(plan: TrialPlan, how: TrialHow): Promise<TrialResult> {
  const machinePlan = planOf(plan);
  const trial = tryMachine(plan, machinePlan, how);
  const isTried = await trial.then(
    () => true,
    () => false,
  );
  try {
    await endTrial(machinePlan);
  } catch (error) {
    if (isTried) throw error;
    // Why it failed says more, and the reaper comes back for what is left.
    how.onLine(error instanceof Error ? error.message : String(error));
  }
  return trial;
}

function planOf({ stateDir, base, checks, runnerBinary }: TrialPlan): MachinePlan {
  const jobId = `${Date.now()}${String(randomInt(100_000)).padStart(5, '0')}`;
  return {
    ...{ stateDir, origin: ORIGIN, jobId, projectId: '0', slot: '0', isTrial: true },
    runner: undefined,
    tag: `trial-${jobId}`,
    tmpDir: undefined,
    responseFile: undefined,
    virtualMachines: undefined,
    // A daemon that the recipe enables must not see the host's network.
    base: { ...base, binds: [], network: 'none' },
    currentBase: (tried) => Promise.resolve(tried),
    buildsDir: '/builds',
    cacheDir: '/cache',
    keepBuilds: false,
    runnerBinary,
    extraBinds: [],
    stopTimeoutSec: 0,
    scriptStopTimeoutSec: 1,
    runtimeMaxSec:
      base.bootTimeoutSec +
      STATE_WAIT_SEC +
      (checksOf({ checks, runnerBinary }).length + 1) * CHECK_SEC +
      MARGIN_SEC,
  };
}

function checksOf({
  checks,
  runnerBinary,
}: Pick<TrialPlan, 'checks' | 'runnerBinary'>): readonly TrialCheck[] {
  return [...builtInChecks(runnerBinary !== undefined), ...checks];
}

async function tryMachine(
  plan: TrialPlan,
  machinePlan: MachinePlan,
  { signal, onLine }: TrialHow,
): Promise<TrialResult> {
  const { machine, record, bootSec } = await prepareMachine(machinePlan, signal);
  const { path: directory } = jobDirectory(plan.stateDir, machine);
  const trial = { record, directory, signal, onLine };
  const { systemState, failedUnits, failure } = await findState(trial);
  onLine(`The machine is ready after ${bootSec.toFixed(2)} s, and "${systemState}".`);
  const failures = failure === undefined ? [] : [failure];
  const passed: string[] = [];
  // Nothing starts in a machine that does not answer.
  for (const check of systemState === 'unknown' ? [] : checksOf(plan)) {
    onLine(`Check "${check.name}":`);
    const end = await runCheck({ ...trial, check });
    if (signal.aborted) throw new Stopped('The trial was stopped.');
    if (end.failure === undefined) passed.push(check.name);
    else failures.push(end.failure);
    if (end.isMachineGone) break;
  }
  return { bootSec, systemState, failedUnits, passed, failures };
}

async function endTrial({
  stateDir,
  origin,
  jobId,
  tag,
  stopTimeoutSec,
}: MachinePlan): Promise<void> {
  const machine = machineName({ origin, id: jobId });
  const onBusy = async (): Promise<void> => {
    await endStragglers({ machine, holder: lockHolder(machine) });
  };
  await withLock(machine, { waitSec: LOCK_WAIT_SEC, onBusy }, () =>
    destroyMachine({ stateDir, machine, tag, stopTimeoutSec }),
  );
}
