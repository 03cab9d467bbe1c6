/**
 * Is a job dead? Pure.
 *
 * INVARIANT: a job with a stage that lives is never dead; and without a proof a job lives, because
 * systemd ends its machine at the deadline anyway.
 */
import type { MachineRecord } from '../machine/record.ts';
import { keep, remove, type Verdict } from './finding.ts';
import type { JobEvidence } from './job-evidence.ts';

/** PID 1 has the first go at a machine whose deadline has passed. */
const DEADLINE_GRACE_MS = 60_000;
/** What is younger is not doubted: GitLab's word and the Runner's last stages may cross. */
const GITLAB_GRACE_MS = 600_000;

/** @param nowMs since the epoch. */
export function judgeJob(job: JobEvidence, nowMs: number): Verdict {
  return (
    atWork(job) ?? (job.known === undefined ? judgeUnknown(job) : judgeKnown(job, job.known, nowMs))
  );
}

/** Why the job must not be touched, whatever else is true of it. */
function atWork(job: JobEvidence): Verdict | undefined {
  const [stage] = job.stages;
  if (stage !== undefined) return keep('a stage of the job runs', `process ${stage}`);
  // A straggler of a stage that was killed holds the lock too, and has no right to it.
  if (job.lock === 'held' && job.stragglers.length === 0) {
    return keep('nspawn-runner is at work on it', `process ${String(job.holder ?? 'unknown')}`);
  }
  if (job.creator === 'lives') {
    const { isTrial = false, chroot, creator } = job.known ?? {};
    const reason = isTrial ? `it is a trial of chroot "${chroot}"` : 'its prepare stage runs';
    return keep(reason, `process ${String(creator?.pid)}`);
  }
  if (job.elsewhere !== undefined) return keep('it has another state directory', job.elsewhere);
  if (job.record.state === 'newer') return keep('a newer nspawn-runner wrote its record');
  if (job.record.state === 'unreadable') return keep('its record cannot be read now');
  return undefined;
}

function judgeUnknown(job: JobEvidence): Verdict {
  const facts = [
    job.record.state === 'none' ? 'no record' : 'a record that is torn or not ours',
    `unit ${job.unit}`,
    ...idleFacts(job),
  ];
  return isDown(job)
    ? remove('nothing alive made it', ...facts)
    : remove('no stage can use a machine without a record', ...facts);
}

function judgeKnown(job: JobEvidence, known: MachineRecord, nowMs: number): Verdict {
  const idle = idleFacts(job);
  if (known.isTrial === true && job.creator === 'gone') {
    const reason = `a trial of chroot "${known.chroot}" that was cut off`;
    return remove(reason, `process ${String(known.creator?.pid)}, which made it, is gone`, ...idle);
  }
  if (isDown(job)) {
    return remove('its machine is gone', `unit ${job.unit}`, creatorGone(known), ...idle);
  }
  if (isOverdue(job, known, nowMs)) {
    return remove('its deadline has passed', `deadline ${known.deadline}`, ...idle);
  }
  if (known.isKept === true) return keep('a person keeps it', `until ${known.deadline}`);
  if (job.runner === 'gone') {
    return remove('its GitLab Runner is gone', runnerGone(known), ...idle);
  }
  if (job.isEnded) {
    return remove('its GitLab Runner has ended it', `${String(known.tmpDir)} is gone`, ...idle);
  }
  if (job.gitlab === 'over' && nowMs > Date.parse(known.createdAt) + GITLAB_GRACE_MS) {
    return remove(
      'GitLab says that the job is over',
      `job ${known.jobId} at ${known.origin}`,
      ...idle,
    );
  }
  return job.runner === 'lives'
    ? keep('its GitLab Runner lives', `process ${String(known.runnerProcess?.pid)}`)
    : keep('nothing proves it dead', `systemd ends it at ${known.deadline}`);
}

/** By the time since boot, as systemd has it; a host's clock may be set, forward by years at a boot. */
function isOverdue({ ageSec }: JobEvidence, known: MachineRecord, nowMs: number): boolean {
  const [made, end] = [Date.parse(known.createdAt), Date.parse(known.deadline)];
  const ageMs = ageSec === undefined ? nowMs - made : ageSec * 1000;
  return ageMs > end - made + DEADLINE_GRACE_MS;
}

/** True of every job that is not `atWork`. */
function idleFacts({ lock, stragglers: [straggler] }: JobEvidence): readonly string[] {
  return [
    'no stage runs',
    lock === 'held'
      ? `its lock is held by what a killed stage left: process ${String(straggler)}`
      : 'nobody has its lock',
  ];
}

/** Nothing of the machine runs and nothing is about to. */
function isDown({ unit, hasProcesses }: JobEvidence): boolean {
  return ['absent', 'inactive', 'failed'].includes(unit) && !hasProcesses;
}

function creatorGone({ creator }: MachineRecord): string {
  return creator === undefined
    ? 'its prepare stage is not recorded'
    : `its prepare stage, process ${creator.pid}, is gone`;
}

function runnerGone({ runnerProcess }: MachineRecord): string {
  return `process ${String(runnerProcess?.pid)} of boot ${String(runnerProcess?.bootId).slice(0, 8)} is gone`;
}
