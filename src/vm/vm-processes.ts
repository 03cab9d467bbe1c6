/**
 * The host's processes as far as virtual machines need them. A process is its number and its start
 * time, which is looked at again right before each signal.
 */
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { endProcesses } from '../end-processes.ts';
import { HostError } from '../errors.ts';
import { readEnvironment, readStat } from '../process-identity.ts';
import { marksOf, type Marks } from './marks.ts';

/** The kernel takes a while to give back the memory of a virtual machine. */
const WAITS = { termMs: 5_000, killMs: 10_000 };

export interface VmProcess {
  readonly pid: number;
  /** Clock ticks since boot, field 22 of /proc/PID/stat. */
  readonly startTime: string;
  readonly uid: number;
  readonly argv: readonly string[];
  readonly marks: Marks;
  /** Text of /proc/PID/cgroup. */
  readonly cgroups: string;
}

/** Processes whose program, by its file name, `isWanted`; one that ends meanwhile is left out. */
export async function findProcesses(isWanted: (program: string) => boolean): Promise<VmProcess[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const argv = splitNul(await readOrEmpty(`/proc/${pid}/cmdline`));
      return isWanted(basename(argv[0] ?? '')) ? readProcess(pid) : undefined;
    }),
  );
  return found.filter((process) => process !== undefined);
}

/** Undefined when there is no such process, or only what waits to be noticed by its parent. */
export async function readProcess(pid: number): Promise<VmProcess | undefined> {
  const now = readStat(pid);
  const owner = await stat(`/proc/${pid}`).catch(() => undefined);
  if (now === undefined || now.isDead || owner === undefined) return undefined;
  const { startTime } = now;
  const argv = splitNul(await readOrEmpty(`/proc/${pid}/cmdline`));
  const marks = marksOf(readEnvironment(pid));
  const cgroups = await readOrEmpty(`/proc/${pid}/cgroup`);
  return { pid, startTime, uid: owner.uid, argv, marks, cgroups };
}

/** The process above; undefined when there is none. */
export async function readParent(pid: number): Promise<VmProcess | undefined> {
  const parent = readStat(pid)?.parent ?? 0;
  return parent === 0 ? undefined : readProcess(parent);
}

/** Files that a process has open for writing; names that the kernel makes up are left out. */
export async function filesWritten(pid: number): Promise<string[]> {
  const files: string[] = [];
  for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
    const path = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '');
    if (!path.startsWith('/') || /^\/(dev|proc|sys)\//.test(path)) continue;
    const info = await readOrEmpty(`/proc/${pid}/fdinfo/${fd}`);
    // proc_pid_fdinfo(5): the flags of open(2) in octal; the last two bits are the access mode.
    const [, flags = '0'] = /^flags:\s*([0-7]+)$/m.exec(info) ?? [];
    if ((parseInt(flags, 8) & 3) !== 0) files.push(path.replace(/ \(deleted\)$/, ''));
  }
  return [...new Set(files)];
}

/** Whether it runs in a job's machine: it then ends with the machine and is nobody else's business. */
export function isInJobMachine({ cgroups }: Pick<VmProcess, 'cgroups'>): boolean {
  return cgroups
    .split('\n')
    .some((line) => line.split(':').slice(2).join(':').split('/').includes('nspawn-runner.slice'));
}

/**
 * TERM, a bounded wait, KILL, and proof.
 * @throws HostError when it is still there.
 */
export async function endProcess(victim: VmProcess): Promise<void> {
  if ((await endProcesses([victim], WAITS)).length === 0) return;
  throw new HostError(`Process ${victim.pid} does not end.`, {
    hint: `Look at /proc/${victim.pid}/stack: it hangs in the kernel.`,
  });
}

function splitNul(text: string): string[] {
  return text.replace(/\0$/, '').split('\0');
}

async function readOrEmpty(file: string): Promise<string> {
  return readFile(file, 'utf8').catch(() => '');
}
