/**
 * The host's processes as a reaper of jobs sees them: whose stage one is, and which job's mark one
 * carries. A mark is one whole entry of the environment, never a part of one.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { MACHINE_MARK, STAGE_MARK, TAG } from '../marks.ts';
import { isVirtualBoxProcess } from '../vm/virtualbox-programs.ts';
import { parseMachineName, SLICE } from './names.ts';
import { readEnvironment, readStat } from '../process-identity.ts';

export interface HostProcess {
  readonly pid: number;
  readonly parent: number;
  readonly startTime: string;
  readonly tags: readonly string[];
  readonly machines: readonly string[];
  /** GitLab Runner's directory, for a stage and what carries its environment on. */
  readonly tmpDir: string | undefined;
  /** The job as a stage's environment names it: a hint that its author can set. */
  readonly jobId: string | undefined;
  readonly isStage: boolean;
  /** The job's machine in whose control group it is, whatever it carries. */
  readonly inMachine: string | undefined;
}

/** Every process that can be read; one that ends meanwhile is left out. */
export function readHostProcesses(): readonly HostProcess[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readHostProcess(Number(name)))
    .filter((process) => process !== undefined);
}

function readHostProcess(pid: number): HostProcess | undefined {
  const stat = readStat(pid);
  if (stat === undefined || stat.isDead) return undefined;
  const inMachine = machineOfCgroup(readCgroup(pid));
  // What runs in a machine ends with it, and its author could make it a long read: thousands of
  // processes with megabytes each.
  const environment = parseMarks(inMachine === undefined ? readEnvironment(pid) : []);
  const isMarkedByOthers =
    environment.tags.length + environment.machines.length > 0 && isVirtualBoxProcess(pid);
  const believed = isMarkedByOthers ? parseMarks([]) : environment;
  return { pid, parent: stat.parent, startTime: stat.startTime, inMachine, ...believed };
}

/** What an environment says of its process's job. */
export function parseMarks(
  entries: readonly string[],
): Pick<HostProcess, 'tags' | 'machines' | 'tmpDir' | 'jobId' | 'isStage'> {
  const values = (name: string): string[] =>
    entries
      .filter((entry) => entry.startsWith(`${name}=`))
      .map((entry) => entry.slice(name.length + 1));
  const isStage = values(STAGE_MARK).length > 0;
  return {
    tags: values(TAG).filter((value) => value !== ''),
    machines: values(MACHINE_MARK).filter((value) => parseMachineName(value) !== undefined),
    tmpDir: isStage ? values('TMPDIR')[0] : undefined,
    jobId: isStage ? values('CUSTOM_ENV_CI_JOB_ID')[0] : undefined,
    isStage,
  };
}

/** The job's machine that a text of /proc/PID/cgroup (cgroups(7)) places its process in. */
export function machineOfCgroup(text: string): string | undefined {
  for (const line of text.split('\n')) {
    const words = line.split(':').slice(2).join(':').split('/');
    const at = words.indexOf(SLICE);
    const unit = at < 0 ? undefined : words[at + 1];
    if (unit?.endsWith('.service') !== true) continue;
    const name = unit.slice(0, -'.service'.length);
    if (parseMachineName(name) !== undefined) return name;
  }
  return undefined;
}

function readCgroup(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  } catch {
    return '';
  }
}

/** A process and all above it. */
export function ancestorsOf(pid: number, all: readonly HostProcess[]): ReadonlySet<number> {
  const parents = new Map(all.map((process) => [process.pid, process.parent]));
  const found = new Set<number>();
  for (let at: number | undefined = pid; at !== undefined && at > 0 && !found.has(at);) {
    found.add(at);
    at = parents.get(at);
  }
  return found;
}

export interface Mark {
  readonly machine: string;
  /** Without it only the machine's mark counts. */
  readonly tag?: string | undefined;
  /** Who is at work on the machine, besides stages and ourselves. */
  readonly holder?: number | undefined;
}

/**
 * Processes on the host that are left of a job: they carry its mark, are in no machine, which ends
 * its own, are neither we nor above us, and no stage or holder of the lock that lives started them.
 */
export function leftBehind(
  { machine, tag, holder }: Mark,
  all: readonly HostProcess[],
  self: number = process.pid,
): readonly HostProcess[] {
  const spared = ancestorsOf(self, all);
  const masters = new Set(all.filter(({ isStage }) => isStage).map(({ pid }) => pid));
  masters.add(self);
  if (holder !== undefined) masters.add(holder);
  return all.filter((candidate) => {
    if (candidate.inMachine !== undefined || spared.has(candidate.pid)) return false;
    if (!isMarked(candidate, { machine, tag })) return false;
    return ![...ancestorsOf(candidate.pid, all)].some((pid) => masters.has(pid));
  });
}

/** Two GitLab instances may give one tag twice; a machine's name, where there is one, tells them apart. */
function isMarked({ machines, tags }: HostProcess, { machine, tag }: Mark): boolean {
  if (machines.length > 0) return machines.every((name) => name === machine);
  return tag !== undefined && tags.includes(tag);
}
