/** Every job that the host has anything of, and what speaks for its life or death. Changes nothing. */
import { existsSync, lstatSync } from 'node:fs';
import { entriesOf } from '../machine/directory-entries.ts';
import { stateDirOfUnit } from '../machine/boot.ts';
import { groupsInSlice, isPopulated, machineCgroup } from '../machine/cgroup.ts';
import { claimedMachines, claimPath } from '../machine/claim.ts';
import { leftBehind, readHostProcesses, type HostProcess } from '../machine/host-processes.ts';
import { jobDirectory, jobsDirectory } from '../machine/job-directory.ts';
import { linksByMachine } from '../machine/links.ts';
import { isLocked, lockHolder, lockNames } from '../machine/lock.ts';
import { parseMachineName, unitName } from '../machine/names.ts';
import { ageOf, isAlive, type ProcessIdentity } from '../process-identity.ts';
import { inspectRecord, type MachineRecord, type RecordState } from '../machine/record.ts';
import { findRemains, namesWithRemains } from '../machine/remains.ts';
import { hasEndedAttempt } from '../machine/temp-dir.ts';
import { listUnits } from '../tools/systemctl.ts';
import type { JobEvidence, Life } from './job-evidence.ts';

/** What is read once for all jobs. */
export interface HostView {
  readonly stateDir: string;
  /** ActiveState by unit. */
  readonly units: ReadonlyMap<string, string>;
  readonly links: ReadonlyMap<string, readonly string[]>;
  readonly processes: readonly HostProcess[];
  /** Names of virtual machines by the machine of the job that they speak of. */
  readonly virtualMachines: ReadonlyMap<string, readonly string[]>;
}

export async function viewHost(
  stateDir: string,
  virtualMachines: HostView['virtualMachines'],
): Promise<HostView> {
  const units = await listUnits('nsr*-*.service');
  return {
    stateDir,
    units: new Map(units.map(({ unit, active }) => [unit, active])),
    links: await linksByMachine(),
    processes: readHostProcesses(),
    virtualMachines,
  };
}

/** Names of all jobs of which the view, or the disk, has a trace. */
export function namesOfJobs(view: HostView): readonly string[] {
  const names = new Set([
    ...[...view.units.keys()].map((unit) => unit.replace(/\.service$/, '')),
    ...groupsInSlice().map((group) => group.replace(/\.service$/, '')),
    ...entriesOf(jobsDirectory(view.stateDir)),
    ...claimedMachines(view.stateDir),
    ...lockNames(),
    ...namesWithRemains(),
    ...view.links.keys(),
    ...view.processes.flatMap(({ machines, inMachine }) =>
      inMachine === undefined ? machines : [],
    ),
    ...view.virtualMachines.keys(),
  ]);
  return [...names].filter((name) => parseMachineName(name) !== undefined).sort();
}

export async function collectJob(machine: string, view: HostView): Promise<JobEvidence> {
  const directory = jobDirectory(view.stateDir, machine);
  const record = ownRecord(machine, inspectRecord(directory.record));
  const claim = ownRecord(machine, inspectRecord(claimPath(view.stateDir, machine)));
  const known = record.state === 'usable' ? record.record : recordIn(claim);
  const hasLock = lockNames().includes(machine);
  const holder = hasLock ? lockHolder(machine) : undefined;
  const unit = view.units.get(unitName(machine)) ?? 'absent';
  const hasGroup = existsSync(machineCgroup(machine));
  const isStranger = known === undefined && (unit !== 'absent' || hasGroup);
  return {
    machine,
    unit,
    elsewhere: isStranger ? await elsewhereOf(machine, view.stateDir) : undefined,
    hasGroup,
    hasProcesses: isPopulated(machineCgroup(machine)),
    hasDirectory: lstatSync(directory.path, { throwIfNoEntry: false }) !== undefined,
    record,
    hasClaim: claim.state !== 'none',
    known,
    lock: hasLock ? ((await isLocked(machine)) ? 'held' : 'free') : 'none',
    holder,
    stages: stagesOf(machine, known, view.processes),
    creator: lifeOf(known?.creator),
    ageSec: ageOf(known?.creator),
    runner: lifeOf(known?.runnerProcess),
    isEnded: hasEndedAttempt(known?.runnerProcess, known?.tmpDir),
    stragglers: leftBehind({ machine, holder }, view.processes).map(({ pid }) => pid),
    remains: findRemains(machine),
    links: view.links.get(machine) ?? [],
    virtualMachines: view.virtualMachines.get(machine) ?? [],
    gitlab: 'unknown',
  };
}

/** The state directory that a machine's unit was started for, where it is not this one. */
export async function elsewhereOf(machine: string, stateDir: string): Promise<string | undefined> {
  const theirs = await stateDirOfUnit(machine);
  return theirs === stateDir ? undefined : theirs;
}

/** A record that names another machine was copied or forged. */
export function ownRecord(machine: string, state: RecordState): RecordState {
  return state.state === 'usable' && state.record.machine !== machine
    ? { state: 'unusable' }
    : state;
}

function recordIn(state: RecordState): MachineRecord | undefined {
  return state.state === 'usable' ? state.record : undefined;
}

/**
 * Stages of the job: by GitLab Runner's directory of its attempt, or by the job's number, which
 * another attempt has too, and which at worst keeps more than it must.
 */
export function stagesOf(
  machine: string,
  known: Pick<MachineRecord, 'tmpDir'> | undefined,
  processes: readonly HostProcess[],
): readonly number[] {
  const id = parseMachineName(machine)?.jobId;
  return processes
    .filter(({ isStage, inMachine }) => isStage && inMachine === undefined)
    .filter(
      ({ tmpDir, jobId }) =>
        jobId === id || (known?.tmpDir !== undefined && tmpDir === known.tmpDir),
    )
    .map(({ pid }) => pid);
}

export function lifeOf(identity: ProcessIdentity | undefined): Life {
  if (identity === undefined) return 'unknown';
  return isAlive(identity) ? 'lives' : 'gone';
}
