/**
 * Makes a job's machine from nothing, whatever an earlier attempt of the job left. It has no
 * rollback: GitLab Runner sends a cleanup after a failed prepare, and the destroyer is the rollback.
 */
import { chmod, mkdir } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { Stopped } from '../errors.ts';
import type { Limits } from '../settings.ts';
import type { Bind } from '../tools/systemd-nspawn.ts';
import { bootMachine, type MachineBoot } from './boot.ts';
import { writeClaim } from './claim.ts';
import { destroyMachine, endStragglers, leftSomething, type DestroyOptions } from './destroy.ts';
import { jobDirectory, jobsDirectory, trashDirectory, type JobDirectory } from './job-directory.ts';
import { holdCurrent } from './hold-current.ts';
import { buildsPath, cachePath, makeKept, withBuilds } from './kept-directories.ts';
import { lockHolder, withLock } from './lock.ts';
import { lookInside, type Inside } from './look-inside.ts';
import type { MachineBase } from './machine-base.ts';
import { RUNNER_IN_MACHINE } from './machine-files.ts';
import { markedEnvironment } from '../marks.ts';
import { machineName } from './names.ts';
import { createOverlay } from './overlay.ts';
import { nestedStorage } from './profile.ts';
import { identifyProcess } from '../process-identity.ts';
import { findRunner } from '../runner-process.ts';
import { writeRecord, type MachineRecord, type VmPlaces } from './record.ts';
import { isRunnersOwn, markTempDir } from './temp-dir-mark.ts';

/** Longer than the reaper takes for one machine. */
const LOCK_WAIT_SEC = 120;

export interface MachinePlan {
  readonly stateDir: string;
  readonly origin: string;
  readonly jobId: string;
  readonly projectId: string;
  readonly runner: string | undefined;
  readonly tag: string;
  readonly slot: string;
  readonly tmpDir: string | undefined;
  readonly responseFile: string | undefined;
  /** Where jobs may make virtual machines on this host. */
  readonly virtualMachines: VmPlaces | undefined;
  /** What is current when the plan is made. */
  readonly base: MachineBase;
  /**
   * The same object while the chroot's current version is the same, else what is current now.
   * @throws JobError when the chroot has gone.
   */
  readonly currentBase: (base: MachineBase) => Promise<MachineBase>;
  readonly buildsDir: string;
  readonly cacheDir: string;
  readonly keepBuilds: boolean;
  /** Nobody's job, see the record. It has no cache either. */
  readonly isTrial?: boolean;
  /** The host's gitlab-runner. */
  readonly runnerBinary: string | undefined;
  readonly extraBinds: readonly Bind[];
  readonly stopTimeoutSec: number;
  readonly scriptStopTimeoutSec: number;
  /** From now until PID 1 ends the machine. */
  readonly runtimeMaxSec: number;
}

export interface PreparedMachine {
  readonly machine: string;
  readonly record: MachineRecord;
  readonly bootSec: number;
  /** False where kept builds were wanted and another machine has them. */
  readonly buildsKept: boolean;
}

/** One attempt: what the plan comes to on this host. */
interface Attempt extends MachinePlan {
  readonly machine: string;
  /** Random. */
  readonly attempt: string;
  readonly directory: JobDirectory;
  /** The host's directories that are bound in. */
  readonly cache: string | undefined;
  readonly builds: string | undefined;
}

/** @throws HostError when the machine cannot be made; Stopped when `signal` ended it. */
export async function prepareMachine(
  plan: MachinePlan,
  signal: AbortSignal,
): Promise<PreparedMachine> {
  const machine = machineName({ origin: plan.origin, id: plan.jobId });
  markTempDir({ ...plan, id: plan.jobId }, plan.stateDir);
  const onBusy = async (): Promise<void> => {
    await endStragglers({ machine, holder: lockHolder(machine) });
  };
  return withLock(machine, { waitSec: LOCK_WAIT_SEC, onBusy, signal }, () =>
    makeMachine(plan, machine, signal),
  );
}

async function makeMachine(
  plan: MachinePlan,
  machine: string,
  signal: AbortSignal,
): Promise<PreparedMachine> {
  const begun = await beginAttempt(plan, machine);
  const hold = async (base: MachineBase): Promise<Held> => {
    stopIf(signal);
    const inside = await lookInside(base);
    const write = (builds: string | undefined): Held => {
      const attempt = { ...begun, base, builds };
      const record = recordOf(attempt, inside);
      writeRecord(attempt.directory.record, record);
      return { attempt, inside, record };
    };
    if (!plan.keepBuilds) return write(undefined);
    return withBuilds({ ...plan, machine, builds: buildsOf(plan) }, signal, write);
  };
  const { attempt, inside, record } = await holdCurrent(plan.base, hold, plan.currentBase);
  if (record.virtualMachines !== undefined) writeClaim(plan.stateDir, record);
  stopIf(signal);
  await makeDirectories(attempt, inside, signal);
  stopIf(signal);
  const bootSec = await bootMachine(bootOf(attempt), signal);
  const buildsKept = !plan.keepBuilds || attempt.builds !== undefined;
  return { machine, record, bootSec, buildsKept };
}

interface Held {
  readonly attempt: Attempt;
  readonly inside: Inside;
  readonly record: MachineRecord;
}

async function beginAttempt(plan: MachinePlan, machine: string): Promise<Omit<Attempt, 'builds'>> {
  const { stateDir } = plan;
  const project = { origin: plan.origin, id: plan.jobId, projectId: plan.projectId };
  const directory = jobDirectory(stateDir, machine);
  await claim({ stateDir, machine, tag: plan.tag, stopTimeoutSec: 0 }, directory.path);
  return {
    ...plan,
    machine,
    attempt: randomBytes(8).toString('hex'),
    directory,
    cache: plan.isTrial === true ? undefined : cachePath(stateDir, project),
  };
}

/** All that is there of the machine before it boots. */
async function makeDirectories(
  { machine, base, directory, cache, builds, cacheDir, buildsDir }: Attempt,
  { owner, home }: Inside,
  signal: AbortSignal,
): Promise<void> {
  for (const kept of [cache, builds]) if (kept !== undefined) await makeKept(kept, owner, signal);
  for (const { source } of nestedStorage(base, directory)) await mkdir(source, { mode: 0o700 });
  await createOverlay(directory, {
    chroot: base.chroot.path,
    machine,
    directories: [
      ...(cache === undefined ? [cacheDir] : []),
      ...(builds === undefined ? [buildsDir] : []),
      ...(home === undefined ? [] : [home]),
    ],
    owner,
  });
}

function recordOf(attempt: Attempt, { shellPath, home }: Inside): MachineRecord {
  const now = Date.now();
  const { base, directory, tmpDir, builds } = attempt;
  return {
    format: 1,
    machine: attempt.machine,
    attempt: attempt.attempt,
    jobId: attempt.jobId,
    projectId: attempt.projectId,
    origin: attempt.origin,
    runner: attempt.runner,
    tag: attempt.tag,
    createdAt: new Date(now).toISOString(),
    deadline: new Date(now + attempt.runtimeMaxSec * 1000).toISOString(),
    creator: identifyProcess(process.pid),
    runnerProcess: findRunner(tmpDir),
    tmpDir,
    responseFile: attempt.responseFile,
    directories: [
      directory.path,
      // Any other is not this job's alone: a wrapper may have set it to /var/tmp.
      ...(tmpDir !== undefined && isRunnersOwn(tmpDir) ? [tmpDir] : []),
      ...(builds === undefined ? [] : [builds]),
    ],
    virtualMachines: attempt.virtualMachines,
    isTrial: attempt.isTrial,
    chroot: base.chroot.name,
    chrootVersion: base.chroot.version,
    shell: shellPath,
    user: base.user,
    home,
    memoryLimit: describeMemory(base.limits),
    stopTimeoutSec: attempt.stopTimeoutSec,
    scriptStopTimeoutSec: attempt.scriptStopTimeoutSec,
    keptBuilds: builds,
  };
}

function bootOf(attempt: Attempt): MachineBoot {
  const { machine, base, runnerBinary, cache, builds } = attempt;
  const bound = (source: string | undefined, target: string, readOnly: boolean): Bind[] =>
    source === undefined ? [] : [{ source, target, readOnly }];
  return {
    machine,
    description:
      attempt.isTrial === true
        ? `Trial of chroot ${base.chroot.name}, version ${base.chroot.version}`
        : `GitLab job ${attempt.jobId} of project ${attempt.projectId}`,
    stateDir: attempt.stateDir,
    directory: attempt.directory,
    base,
    binds: [
      ...bound(cache, attempt.cacheDir, false),
      ...bound(builds, attempt.buildsDir, false),
      ...bound(runnerBinary, RUNNER_IN_MACHINE, true),
      ...attempt.extraBinds,
    ],
    env: markedEnvironment(attempt),
    runtimeMaxSec: attempt.runtimeMaxSec,
    trashItem: `${machine}-${attempt.attempt}`,
  };
}

/**
 * Takes the machine's name: the directory is the claim. A unit of that name must be gone before,
 * or its ExecStopPost= would take the new directory away.
 */
async function claim(machine: DestroyOptions, path: string): Promise<void> {
  await mkdir(machine.stateDir, { recursive: true, mode: 0o700 });
  for (const shared of [jobsDirectory(machine.stateDir), trashDirectory(machine.stateDir)]) {
    await mkdir(shared, { recursive: true, mode: 0o700 });
    await chmod(shared, 0o700);
  }
  if (await leftSomething(machine)) await destroyMachine(machine);
  await mkdir(path, { mode: 0o700 });
}

function buildsOf(plan: MachinePlan): string {
  const project = { origin: plan.origin, id: plan.jobId, projectId: plan.projectId };
  return buildsPath(plan.stateDir, project, plan);
}

function describeMemory(limits: Limits): string | undefined {
  if (limits.memoryMaxBytes !== undefined) {
    const mib = limits.memoryMaxBytes / 1024 / 1024;
    return mib >= 1024 && mib % 1024 === 0 ? `${mib / 1024} GiB` : `${Math.round(mib)} MiB`;
  }
  return limits.memoryMaxPercent === undefined
    ? undefined
    : `${limits.memoryMaxPercent} % of the host's memory`;
}

function stopIf(signal: AbortSignal): void {
  if (signal.aborted) throw new Stopped('The preparation of the machine was stopped.');
}
