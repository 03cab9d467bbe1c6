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
import { lookUpAccount, missingHome } from './account.ts';
import { bootMachine } from './boot.ts';
import { destroyMachine, leftSomething, type DestroyOptions } from './destroy.ts';
import { jobDirectory, jobsDirectory, trashDirectory } from './job-directory.ts';
import { buildsPath, cachePath, isInUse, makeKept } from './kept-directories.ts';
import { RUNNER_IN_MACHINE } from './machine-files.ts';
import { machineName } from './names.ts';
import { createOverlay } from './overlay.ts';
import { identifyProcess } from './process-identity.ts';
import { writeRecord, type MachineRecord } from './record.ts';

export interface MachinePlan {
  readonly stateDir: string;
  readonly origin: string;
  readonly jobId: string;
  readonly projectId: string;
  readonly runner: string | undefined;
  readonly tag: string;
  readonly slot: string;
  readonly tmpDir: string | undefined;
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

/** @throws HostError when the machine cannot be made; Stopped when `signal` ended it. */
export async function prepareMachine(
  plan: MachinePlan,
  signal: AbortSignal,
): Promise<PreparedMachine> {
  const { stateDir } = plan;
  const machine = machineName({ origin: plan.origin, id: plan.jobId });
  const directory = jobDirectory(stateDir, machine);
  const shell = await findShell(plan.chroot.path, plan.shell);
  const owner = await lookUpAccount(plan.chroot.path, plan.user);
  const home = await missingHome(plan.chroot.path, plan.user, owner);
  await claim({ stateDir, machine, stopTimeoutSec: 0 }, directory.path);

  const project = { origin: plan.origin, id: plan.jobId, projectId: plan.projectId };
  const builds = plan.keepBuilds ? await freeBuilds(plan, machine) : undefined;
  const attempt = randomBytes(8).toString('hex');
  const now = Date.now();
  const record: MachineRecord = {
    format: 1,
    machine,
    attempt,
    jobId: plan.jobId,
    projectId: plan.projectId,
    origin: plan.origin,
    runner: plan.runner,
    tag: plan.tag,
    createdAt: new Date(now).toISOString(),
    deadline: new Date(now + plan.runtimeMaxSec * 1000).toISOString(),
    creator: await identifyProcess(process.pid),
    runnerProcess: await identifyProcess(process.ppid),
    tmpDir: plan.tmpDir,
    chroot: plan.chroot.name,
    chrootVersion: plan.chroot.version,
    shell,
    user: plan.user,
    home,
    memoryLimit: describeMemory(plan.limits),
    stopTimeoutSec: plan.stopTimeoutSec,
    scriptStopTimeoutSec: plan.scriptStopTimeoutSec,
    keptBuilds: builds,
  };
  writeRecord(directory, record);
  stopIf(signal);

  const cache = cachePath(stateDir, project);
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
  const bootSec = await bootMachine(
    {
      machine,
      description: `GitLab job ${plan.jobId} of project ${plan.projectId}`,
      stateDir,
      directory,
      chroot: plan.chroot.path,
      binds: [
        { source: cache, target: plan.cacheDir, readOnly: false },
        ...(builds === undefined
          ? []
          : [{ source: builds, target: plan.buildsDir, readOnly: false }]),
        ...(plan.runnerBinary === undefined
          ? []
          : [{ source: plan.runnerBinary, target: RUNNER_IN_MACHINE, readOnly: true }]),
        ...plan.extraBinds,
      ],
      env: { _CI_JOB_TAG: plan.tag },
      limits: plan.limits,
      bootTimeoutSec: plan.bootTimeoutSec,
      runtimeMaxSec: plan.runtimeMaxSec,
      trashItem: `${machine}-${attempt}`,
    },
    signal,
  );
  return { machine, bootSec, buildsKept: !plan.keepBuilds || builds !== undefined };
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
