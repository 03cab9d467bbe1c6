/** One run of the reaper: what is on the host, a verdict on each thing, and the removal of the dead. */
import { withLock } from '../machine/lock.ts';
import { readHostProcesses, type HostProcess } from '../machine/host-processes.ts';
import type { VmPlaces } from '../machine/record.ts';
import { askGitlab } from './gitlab-word.ts';
import { chrootBuildCases } from './chroot-builds.ts';
import { chrootVersionCases } from './chroot-versions.ts';
import { collectJob, namesOfJobs, viewHost, type HostView } from './collect-jobs.ts';
import { viewVirtualMachines } from './collect-vms.ts';
import type { Case } from './finding.ts';
import type { JobEvidence } from './job-evidence.ts';
import { judgeJob } from './judge-job.ts';
import { reapJob, thingsOf } from './reap-job.ts';
import { reportOf, type Outcome, type Report } from './report.ts';
import { forgetLostRoots, tempDirCases } from './temp-dirs.ts';
import { trashCases, waitForSweeps } from './trash.ts';
import { unexplainedCases } from './unexplained.ts';

/** The whole run's own; what is not reached is left for the next one. */
const DEADLINE_MS = 600_000;
/** What a dead job's process has started since, the next run finds. */
const SHARED_LOOK_MS = 1_000;
/** Machines that are ended side by side: each waits for its power-off. */
const AT_ONCE = 4;

export interface ReapOptions {
  readonly stateDir: string;
  readonly virtualMachines: VmPlaces | undefined;
  readonly askGitlab: boolean;
  /** Says what would be done; changes nothing on the host. */
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
  /** Called with each case that has been dealt with. */
  readonly onOutcome?: (outcome: Outcome) => void;
}

/** @throws HostError when another reap is at work. */
export async function reap(options: ReapOptions): Promise<Report> {
  const startedAt = new Date();
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(DEADLINE_MS)]);
  const work = (): Promise<Outcome[]> => reapAll({ ...options, signal });
  const outcomes = options.dryRun ? await work() : await withLock('reap', { waitSec: 0 }, work);
  return reportOf(outcomes, { dryRun: options.dryRun, startedAt, now: new Date() });
}

async function reapAll(options: ReapOptions): Promise<Outcome[]> {
  const { stateDir, dryRun, signal } = options;
  const outcomes: Outcome[] = [];
  const take = (outcome: Outcome): void => {
    outcomes.push(outcome);
    options.onOutcome?.(outcome);
  };
  // Jobs first: what they leave in the trash and on disk is then seen with the rest.
  const vms = await viewVirtualMachines(stateDir, options.virtualMachines, signal);
  const view = await viewHost(stateDir, vms.byJob);
  await dealWith(await jobCases(view, options), options, take);
  await dealWith(tempDirCases(stateDir, view.processes), options, take);
  await dealWith(await trashCases(stateDir), options, take);
  await dealWith(await chrootBuildCases(stateDir), options, take);
  await dealWith(await chrootVersionCases(stateDir), options, take);
  await dealWith(unexplainedCases(stateDir), options, take);
  for (const failure of vms.failures) take(vmFailure(failure));
  if (!dryRun) {
    forgetLostRoots(stateDir);
    await waitForSweeps(stateDir, signal);
  }
  return outcomes;
}

async function jobCases(view: HostView, options: ReapOptions): Promise<readonly Case[]> {
  const { stateDir, virtualMachines } = options;
  const readProcesses = sharedLook();
  const cases: Case[] = [];
  for (const machine of namesOfJobs(view)) {
    const job = await withGitlabsWord(await collectJob(machine, view), options);
    const things = thingsOf(job);
    if (things.length === 0) continue;
    const verdict = judgeJob(job, Date.now());
    cases.push({
      machine,
      things: verdict.decision === 'keep' ? [{ kind: 'machine', name: machine }] : things,
      verdict,
      remove: (signal) => reapJob(job, { stateDir, virtualMachines, readProcesses, signal }),
    });
  }
  return cases;
}

/** All processes of the host for each of many jobs would take longer with every job. */
function sharedLook(): () => readonly HostProcess[] {
  let [processes, at]: [readonly HostProcess[], number] = [[], -Infinity];
  return () => {
    if (performance.now() - at > SHARED_LOOK_MS) {
      [processes, at] = [readHostProcesses(), performance.now()];
    }
    return processes;
  };
}

async function withGitlabsWord(job: JobEvidence, options: ReapOptions): Promise<JobEvidence> {
  const isInQuestion = options.askGitlab && job.runner !== 'gone' && job.stages.length === 0;
  if (!isInQuestion || job.known === undefined) return job;
  return { ...job, gitlab: await askGitlab(job.known, options.signal) };
}

async function dealWith(
  cases: readonly Case[],
  { dryRun, signal }: ReapOptions,
  take: (outcome: Outcome) => void,
): Promise<void> {
  const queue = [...cases];
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      take(await outcomeOf(next, dryRun, signal));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function outcomeOf(each: Case, dryRun: boolean, signal: AbortSignal): Promise<Outcome> {
  if (each.verdict.decision === 'keep') return { case: each, result: 'kept' };
  if (dryRun) return { case: each, result: 'would-remove' };
  if (signal.aborted) return { case: each, result: 'failed', error: 'left for the next run' };
  try {
    const changed = await each.remove(signal);
    return changed === undefined
      ? { case: each, result: 'removed' }
      : { case: each, result: 'kept', changed };
  } catch (error) {
    return { case: each, result: 'failed', error };
  }
}

function vmFailure(failure: string): Outcome {
  const verdict = { decision: 'keep', reason: 'its tool gave no answer', proof: [] } as const;
  return {
    case: {
      machine: undefined,
      things: [{ kind: 'virtual-machine', name: failure.split(':')[0] ?? '' }],
      verdict,
      remove: () => Promise.resolve(undefined),
    },
    result: 'failed',
    error: failure,
  };
}
