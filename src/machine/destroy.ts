/**
 * The only destroyer of machines: cleanup, a repeated prepare and the reaper call it, with the
 * machine's lock. It may be called for anything from nothing to a machine in full run, tries every
 * step whatever failed before, and returns when the machine is proved gone.
 */
import { existsSync } from 'node:fs';
import { lstat, mkdir, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { endProcesses } from '../end-processes.ts';
import { HostError } from '../errors.ts';
import { powerOff } from '../tools/machinectl.ts';
import { unmountBelow } from '../tools/mount.ts';
import { killUnit, resetFailed, showUnit, stopUnit } from '../tools/systemctl.ts';
import { emptyCgroup, isPopulated, machineCgroup, removeCgroup } from './cgroup.ts';
import { leftBehind, readHostProcesses, type Mark, type HostProcess } from './host-processes.ts';
import { jobDirectory, jobsDirectory, trashDirectory, type JobDirectory } from './job-directory.ts';
import { removeLinks } from './links.ts';
import { unitName } from './names.ts';
import { readUsableRecord, type VmPlaces } from './record.ts';
import { findRemains, removeRemains } from './remains.ts';
import { startSweep, trashName } from './trash.ts';
import { releaseClaim, removeVirtualMachines } from './virtual-machines.ts';

const STOP_WAIT_SEC = 30;
const KILL_WAIT_MS = 5_000;
const POLL_MS = 10;

export interface DestroyOptions {
  readonly stateDir: string;
  readonly machine: string;
  /** How long the machine may take to power off; 0 kills at once. */
  readonly stopTimeoutSec: number;
  /** Value of `_CI_JOB_TAG`; it counts where no other job has it. */
  readonly tag?: string | undefined;
  /** Where to look for virtual machines of the job, besides what its claim says. */
  readonly virtualMachines?: VmPlaces | undefined;
  /** A look at the host's processes that others share; a look of its own without. */
  readonly readProcesses?: (() => readonly HostProcess[]) | undefined;
  /** False where it is known that the machine has none; they are looked for without. */
  readonly hasLinks?: boolean | undefined;
  /** Ends the wait for the power-off; the rest is done all the same. */
  readonly signal?: AbortSignal | undefined;
}

/** @throws HostError that lists what is left and where. */
export async function destroyMachine(options: DestroyOptions): Promise<void> {
  const { stateDir, machine } = options;
  const directory = jobDirectory(stateDir, machine);
  const failures: unknown[] = [];
  const left: string[] = [];
  const attempt = async (step: () => Promise<unknown>): Promise<void> => {
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  };
  const check = async (step: () => Promise<readonly string[]>): Promise<void> => {
    try {
      left.push(...(await step()));
    } catch (error) {
      left.push(error instanceof Error ? error.message : String(error));
    }
  };
  // While the directory is there: a tool may need what is in it.
  if (isPopulated(machineCgroup(machine))) await attempt(() => removeVirtualMachines(options));
  // Before its unit moves it away with them: the sweep cannot remove where something is mounted.
  await attempt(() => unmountBelow(directory.path));
  await attempt(() => endUnit(options, attempt));
  await attempt(() => endGroup(machine));
  await check(() => endStragglersOf(options));
  // Until now the machine could have started another one.
  await check(() => releaseClaim(options));
  await attempt(() => discard(stateDir, directory));
  await attempt(() => removeRemains(machine));
  if (options.hasLinks !== false) await check(() => removeLinks(machine));
  await check(() => whatIsLeft(machine, directory));
  if (left.length === 0) return;
  throw new HostError(`Machine "${machine}" is not wholly gone.`, {
    details: left.map((item) => `Left: ${item}`),
    hint: `Look at \`systemctl status ${unitName(machine)}\`; the reaper tries again.`,
    cause: failures.length > 0 ? new AggregateError(failures) : undefined,
  });
}

type Attempt = (step: () => Promise<unknown>) => Promise<void>;

async function endUnit(options: DestroyOptions, attempt: Attempt): Promise<void> {
  const { stateDir, machine, stopTimeoutSec } = options;
  const unit = unitName(machine);
  const state = await unitState(machine);
  if (state !== 'absent') {
    if (state === 'active' && stopTimeoutSec > 0) {
      await attempt(() => powerOffAndWait(options, jobDirectory(stateDir, machine)));
    }
    if ((await unitState(machine)) !== 'absent') {
      await attempt(() => killUnit(unit));
      await attempt(() => stopUnit(unit, STOP_WAIT_SEC));
      await attempt(() => resetFailed(unit));
    }
  }
}

/** A group that its manager has forgotten, or that it could not be asked for. */
async function endGroup(machine: string): Promise<void> {
  const cgroup = machineCgroup(machine);
  if (isPopulated(cgroup)) await emptyCgroup(cgroup, KILL_WAIT_MS);
  if (existsSync(cgroup) && (await unitState(machine)) === 'absent') removeCgroup(cgroup);
}

/**
 * What a stage that was killed left running on the host: TERM, a bounded wait, KILL, proof.
 * @returns what does not end, one sentence each.
 */
export async function endStragglers(
  mark: Mark,
  all = readHostProcesses(),
): Promise<readonly string[]> {
  const left = await endProcesses(leftBehind(mark, all));
  return left.map(
    ({ pid }) => `process ${pid}, which does not end: see \`ps -o stat,wchan:32,args ${pid}\`.`,
  );
}

async function endStragglersOf(options: DestroyOptions): Promise<readonly string[]> {
  const { machine, tag, readProcesses = readHostProcesses } = options;
  const all = readProcesses();
  // Whose tag it is takes a look at every job of the host.
  const isWorn = tag !== undefined && leftBehind({ machine, tag }, all).length > 0;
  return endStragglers({ machine, tag: isWorn ? await tagOfItsOwn(options) : undefined }, all);
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

/** The job's tag, unless another job has the same: two GitLab instances may give one number twice. */
async function tagOfItsOwn({
  stateDir,
  machine,
  tag,
}: DestroyOptions): Promise<string | undefined> {
  if (tag === undefined) return undefined;
  const names = await readdir(jobsDirectory(stateDir)).catch(() => []);
  const others = names.filter((name) => name !== machine);
  const isShared = others.some(
    (name) => readUsableRecord(jobDirectory(stateDir, name).record)?.tag === tag,
  );
  return isShared ? undefined : tag;
}

/** Moves a directory that no unit took away; deleting it is the sweep's work and never the job's. */
async function discard(stateDir: string, directory: JobDirectory): Promise<void> {
  if (!(await exists(directory.path))) return;
  // A mount that does not go (its name need not be UTF-8) is no danger to what it shows: the sweep
  // sees nothing that is mounted below.
  await unmountBelow(directory.path).catch(() => undefined);
  const item = trashName(directory.path);
  await mkdir(trashDirectory(stateDir), { recursive: true, mode: 0o700 });
  await rename(directory.path, join(trashDirectory(stateDir), item));
  await startSweep(stateDir, item);
}

async function whatIsLeft(machine: string, directory: JobDirectory): Promise<string[]> {
  const left: string[] = [];
  if ((await unitState(machine)) !== 'absent') left.push(`unit ${unitName(machine)}.`);
  if (isPopulated(machineCgroup(machine))) left.push(`processes in ${machineCgroup(machine)}.`);
  if (await exists(directory.path)) left.push(`directory ${directory.path}.`);
  return [...left, ...findRemains(machine).map((path) => `${path}.`)];
}

async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined;
}
