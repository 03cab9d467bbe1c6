/**
 * Makes a job's machine from nothing, whatever an earlier attempt of the job left. It has no
 * rollback: GitLab Runner sends a cleanup after a failed prepare, and the destroyer is the rollback.
 */
import { access, chmod, mkdir } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { HostError, Stopped } from '../errors.ts';
import type { Limits } from '../settings.ts';
import type { Bind } from '../tools/systemd-nspawn.ts';
import { lookUpAccount, missingHome, type Account } from './account.ts';
import { bootMachine, type MachineBoot } from './boot.ts';
import { writeClaim } from './claim.ts';
import { destroyMachine, endStragglers, leftSomething, type DestroyOptions } from './destroy.ts';
import { jobDirectory, jobsDirectory, trashDirectory, type JobDirectory } from './job-directory.ts';
import { buildsPath, cachePath, isInUse, makeKept } from './kept-directories.ts';
import { lockHolder, withLock } from './lock.ts';
import { RUNNER_IN_MACHINE } from './machine-files.ts';
import { markedEnvironment } from '../marks.ts';
import { machineName } from './names.ts';
import { createOverlay } from './overlay.ts';
import { identifyProcess } from '../process-identity.ts';
import { findRunner } from './runner-process.ts';
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
  readonly chroot: { readonly name: string; readonly version: string; readonly path: string };
  /** `bash`, `sh` or an absolute path in the machine. */
  readonly shell: string;
  readonly user: string;
  readonly buildsDir: string;
  readonly cacheDir: string;
  readonly keepBuilds: boolean;
  /** The host's gitlab-runner. */
  readonly runnerBinary: string | undefined;
  readonly extraBinds: readonly Bind[];
  readonly limits: Limits;
  readonly bootTimeoutSec: number;
  readonly stopTimeoutSec: number;
  readonly scriptStopTimeoutSec: number;
  /** From now until PID 1 ends the machine. */
  readonly runtimeMaxSec: number;
}

export interface PreparedMachine {
  readonly machine: string;
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
  /** Absolute in the machine. */
  readonly shellPath: string;
  readonly owner: Account;
  /** A home to make for the user; absolute in the machine. */
  readonly home: string | undefined;
  /** The host's directories that are bound in. */
  readonly cache: string;
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
  const attempt = await beginAttempt(plan, machine);
  const { directory, owner, cache, builds, home } = attempt;
  const record = recordOf(attempt);
  writeRecord(directory.record, record);
  if (record.virtualMachines !== undefined) writeClaim(plan.stateDir, record);
  stopIf(signal);
  await makeKept(cache, owner, signal);
  if (builds !== undefined) await makeKept(builds, owner, signal);
  await createOverlay(directory, {
    chroot: plan.chroot.path,
    machine,
    directories: [
      ...(builds === undefined ? [plan.buildsDir] : []),
      ...(home === undefined ? [] : [home]),
    ],
    owner,
  });
  stopIf(signal);
  const bootSec = await bootMachine(bootOf(attempt), signal);
  return { machine, bootSec, buildsKept: !plan.keepBuilds || builds !== undefined };
}

async function beginAttempt(plan: MachinePlan, machine: string): Promise<Attempt> {
  const { stateDir, chroot, user } = plan;
  const project = { origin: plan.origin, id: plan.jobId, projectId: plan.projectId };
  const directory = jobDirectory(stateDir, machine);
  const shellPath = await findShell(chroot.path, plan.shell);
  const owner = await lookUpAccount(chroot.path, user);
  const home = await missingHome(chroot.path, user, owner);
  await claim({ stateDir, machine, tag: plan.tag, stopTimeoutSec: 0 }, directory.path);
  return {
    ...plan,
    machine,
    attempt: randomBytes(8).toString('hex'),
    directory,
    shellPath,
    owner,
    home,
    cache: cachePath(stateDir, project),
    builds: plan.keepBuilds ? await freeBuilds(plan, machine) : undefined,
  };
}

function recordOf(attempt: Attempt): MachineRecord {
  const now = Date.now();
  const { directory, tmpDir, builds } = attempt;
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
    chroot: attempt.chroot.name,
    chrootVersion: attempt.chroot.version,
    shell: attempt.shellPath,
    user: attempt.user,
    home: attempt.home,
    memoryLimit: describeMemory(attempt.limits),
    stopTimeoutSec: attempt.stopTimeoutSec,
    scriptStopTimeoutSec: attempt.scriptStopTimeoutSec,
    keptBuilds: builds,
  };
}

function bootOf(attempt: Attempt): MachineBoot {
  const { machine, runnerBinary, builds } = attempt;
  const bound = (source: string, target: string, readOnly: boolean): Bind => ({
    source,
    target,
    readOnly,
  });
  return {
    machine,
    description: `GitLab job ${attempt.jobId} of project ${attempt.projectId}`,
    stateDir: attempt.stateDir,
    directory: attempt.directory,
    chroot: attempt.chroot.path,
    binds: [
      bound(attempt.cache, attempt.cacheDir, false),
      ...(builds === undefined ? [] : [bound(builds, attempt.buildsDir, false)]),
      ...(runnerBinary === undefined ? [] : [bound(runnerBinary, RUNNER_IN_MACHINE, true)]),
      ...attempt.extraBinds,
    ],
    env: markedEnvironment(attempt),
    limits: attempt.limits,
    bootTimeoutSec: attempt.bootTimeoutSec,
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

async function freeBuilds(plan: MachinePlan, machine: string): Promise<string | undefined> {
  const project = { origin: plan.origin, id: plan.jobId, projectId: plan.projectId };
  const path = buildsPath(plan.stateDir, project, plan);
  return (await isInUse(plan.stateDir, path, machine)) ? undefined : path;
}

/** The shell as the machine knows it. */
async function findShell(chroot: string, shell: string): Promise<string> {
  const places = shell.startsWith('/') ? [shell] : [`/bin/${shell}`, `/usr/bin/${shell}`];
  for (const place of places) {
    if (
      await access(join(chroot, place)).then(
        () => true,
        () => false,
      )
    )
      return place;
  }
  throw new HostError(`The chroot has no shell "${shell}".`, {
    details: [`Looked for ${places.join(' and ')} below ${chroot}.`],
    hint: 'Add it to the recipe, or choose another `shell` in the settings.',
  });
}

export function describeMemory(limits: Limits): string | undefined {
  if (limits.memoryMaxBytes !== undefined) {
    const mib = limits.memoryMaxBytes / 1024 / 1024;
    return mib >= 1024 && mib % 1024 === 0 ? `${mib / 1024} GiB` : `${Math.round(mib)} MiB`;
  }
  return limits.memoryMaxPercent === undefined
    ? undefined
    : `${limits.memoryMaxPercent} % of the host's memory`;
}

function stopIf(signal: AbortSignal): void {
  if (signal.aborted) throw new Stopped('Prepare was stopped by GitLab Runner.');
}
