/** Removes a dead job's things: under the machine's lock, and only what was judged. */
import { destroyMachine, endStragglers } from '../machine/destroy.ts';
import { isPopulated, machineCgroup } from '../machine/cgroup.ts';
import { readHostProcesses, type HostProcess } from '../machine/host-processes.ts';
import { jobDirectory } from '../machine/job-directory.ts';
import { lockHolder, withLock } from '../machine/lock.ts';
import {
  inspectRecord,
  type MachineRecord,
  type RecordState,
  type VmPlaces,
} from '../machine/record.ts';
import { elsewhereOf, lifeOf, ownRecord, stagesOf } from './collect-jobs.ts';
import type { Thing } from './finding.ts';
import { judgeJob } from './judge-job.ts';
import type { JobEvidence } from './job-evidence.ts';

const STOP_TIMEOUT_SEC = 3;
/** Whoever has the lock now is at work, and the next run comes in minutes. */
const LOCK_WAIT_SEC = 2;

export interface ReapJobOptions {
  readonly stateDir: string;
  readonly virtualMachines: VmPlaces | undefined;
  readonly readProcesses: () => readonly HostProcess[];
  readonly signal: AbortSignal;
}

/** What of a dead job is there to remove. */
export function thingsOf(job: JobEvidence): readonly Thing[] {
  const { machine } = job;
  const named = (kind: Thing['kind'], names: readonly unknown[]): Thing[] =>
    names.map((name) => ({ kind, name: String(name) }));
  return [
    ...named('machine', job.unit !== 'absent' || job.hasGroup ? [machine] : []),
    ...named('directory', job.hasDirectory ? [machine] : []),
    ...named('process', job.stragglers),
    ...named('virtual-machine', job.virtualMachines),
    ...named('remains', job.remains),
    ...named('link', job.links),
    ...named('claim', job.hasClaim ? [machine] : []),
    ...named('lock', job.lock === 'none' ? [] : [machine]),
  ];
}

/**
 * @returns what changed since the job was judged, if it is kept after all.
 * @throws HostError that lists what is left, or that somebody has the lock.
 */
export async function reapJob(
  job: JobEvidence,
  options: ReapJobOptions,
): Promise<string | undefined> {
  const { machine } = job;
  const { stateDir, signal } = options;
  // A straggler of a stage that was killed has the lock too.
  if (job.stragglers.length > 0) await endStragglers({ machine, holder: lockHolder(machine) });
  return withLock(machine, { waitSec: LOCK_WAIT_SEC, signal }, async () => {
    const changed = await whatChanged(job, stateDir);
    if (changed !== undefined) return changed;
    await destroyMachine({
      stateDir,
      machine,
      tag: job.known?.tag,
      stopTimeoutSec: job.known?.stopTimeoutSec ?? STOP_TIMEOUT_SEC,
      virtualMachines: options.virtualMachines,
      readProcesses: options.readProcesses,
      hasLinks: job.links.length > 0,
      signal,
    });
    return undefined;
  });
}

/** The attempt that was judged must be the one that is there, and still have nobody. */
async function whatChanged(job: JobEvidence, stateDir: string): Promise<string | undefined> {
  const { machine, known } = job;
  const now = ownRecord(machine, inspectRecord(jobDirectory(stateDir, machine).record));
  if (!isSameAttempt(job.record, now)) return 'another attempt of the job has begun';
  // What was read for the verdict was read piece by piece, and the machine may have booted between.
  const hasProcesses = isPopulated(machineCgroup(machine));
  const isStranger = known === undefined && hasProcesses;
  const verdict = judgeJob(
    {
      ...job,
      elsewhere: isStranger ? await elsewhereOf(machine, stateDir) : job.elsewhere,
      // A record that systemd has taken since says what it said.
      known: now.state === 'usable' ? now.record : known,
      lock: 'none',
      hasProcesses,
      // Where nothing runs no script can, and a prepare or cleanup waits for the lock that we have.
      stages: hasProcesses ? stagesOf(machine, known, readHostProcesses()) : [],
      creator: lifeOf(known?.creator),
    },
    Date.now(),
  );
  return verdict.decision === 'keep' ? [verdict.reason, ...verdict.proof].join(': ') : undefined;
}

/** A record may have gone since: systemd took it. None may have come. */
export function isSameAttempt(judged: RecordState, now: RecordState): boolean {
  if (now.state === 'none') return true;
  if (now.state !== judged.state) return false;
  return attemptOf(now) === attemptOf(judged);
}

function attemptOf(state: RecordState): MachineRecord['attempt'] | undefined {
  return state.state === 'usable' ? state.record.attempt : undefined;
}
