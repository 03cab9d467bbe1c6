/**
 * The host's processes as far as a job could have left them, read from /proc (proc(5)). The test's
 * own tree is left out: the runner, the driver calls it waits for and what those run belong to a
 * test that is still at work; what such a process leaves behind has another parent and is listed.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const MARKS = /^_CI_JOB_(TAG|MACHINE)=/;
const OURS = /nsr1-|nspawn-runner|custom-executor/;
const TEMP_DIR = /^TMPDIR=.*custom-executor/;

export interface HostProcess {
  readonly pid: number;
  readonly parent: number;
  /** Clock ticks since boot: with the pid, it names one process for good. */
  readonly startTime: string;
  readonly args: string;
  /** Path in the unified hierarchy, as the host sees it. */
  readonly cgroup: string;
  /** `_CI_JOB_TAG=…` and `_CI_JOB_MACHINE=…`, whole entries of the environment. */
  readonly marks: readonly string[];
  /** GitLab Runner's directory that the process was given. */
  readonly tempDir: string | undefined;
}

/** Every process but kernel threads and zombies. */
export function allProcesses(): readonly HostProcess[] {
  return pids().flatMap((pid) => readProcess(pid) ?? []);
}

/** One line for each process that a job could have left; `slice` is our slice's group. */
export function leftProcesses(slice: string): string[] {
  const all = allProcesses();
  const tests = testTree(all);
  const own = all.find(({ pid }) => pid === process.pid)?.cgroup;
  return all
    .filter((candidate) => candidate.pid !== 1 && !tests.has(candidate.pid))
    .filter(
      ({ marks, cgroup, args, tempDir }) =>
        marks.length > 0 ||
        tempDir !== undefined ||
        cgroup === own ||
        cgroup.startsWith(`/${slice}/`) ||
        OURS.test(args),
    )
    .map(describe);
}

/** Distinct mount namespaces: the mount table of each, by one process that is in it. */
export function mountTables(): { readonly pid: number; readonly table: string }[] {
  const tables = new Map<string, { pid: number; table: string }>();
  for (const pid of pids()) {
    const namespace = read(() => readlinkSync(`/proc/${pid}/ns/mnt`));
    if (namespace === '' || tables.has(namespace)) continue;
    const table = read(() => readFileSync(`/proc/${pid}/mountinfo`, 'utf8'));
    if (table !== '') tables.set(namespace, { pid, table });
  }
  return [...tables.values()];
}

function describe({ pid, startTime, args, cgroup, marks, tempDir }: HostProcess): string {
  const facts = [...marks, ...(tempDir === undefined ? [] : [tempDir]), `in ${cgroup}`];
  return `${pid} of ${startTime}: ${args} (${facts.join(', ')})`;
}

function readProcess(pid: number): HostProcess | undefined {
  const stat = read(() => readFileSync(`/proc/${pid}/stat`, 'utf8'));
  // The command's name, field 2, may hold blanks and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, parent] = fields;
  const startTime = fields[19];
  const args = read(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
  if (parent === undefined || startTime === undefined || state === 'Z' || args === '') {
    return undefined;
  }
  const environ = read(() => readFileSync(`/proc/${pid}/environ`, 'utf8')).split('\0');
  const groups = read(() => readFileSync(`/proc/${pid}/cgroup`, 'utf8'));
  return {
    pid,
    parent: Number(parent),
    startTime,
    args: args.split('\0').join(' ').trim(),
    cgroup: /^0::(.*)$/m.exec(groups)?.[1] ?? '',
    marks: environ.filter((entry) => MARKS.test(entry)),
    tempDir: environ.find((entry) => TEMP_DIR.test(entry)),
  };
}

/** What vitest started, and what came into a lab host from outside. */
function testTree(all: readonly HostProcess[]): ReadonlySet<number> {
  const byPid = new Map(all.map((candidate) => [candidate.pid, candidate]));
  const isRoot = ({ pid, parent, args }: HostProcess): boolean =>
    pid === process.pid || (parent === 0 && pid !== 1) || /\bvitest\b/.test(args);
  const belongs = (candidate: HostProcess | undefined, hops = 0): boolean => {
    if (candidate === undefined || hops > 100) return false;
    return isRoot(candidate) || belongs(byPid.get(candidate.parent), hops + 1);
  };
  return new Set(all.filter((candidate) => belongs(candidate)).map(({ pid }) => pid));
}

function pids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** A process may go away between two looks at it. */
function read(reader: () => string): string {
  try {
    return reader();
  } catch {
    return '';
  }
}
