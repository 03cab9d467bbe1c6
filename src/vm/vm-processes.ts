/**
 * The host's processes as far as virtual machines need them. A process is its number and its start
 * time, which is looked at again right before each signal.
 */
import { open, readdir, readFile, readlink, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { endProcesses } from '../end-processes.ts';
import { HostError } from '../errors.ts';
import { readEnvironment, readStat } from '../process-identity.ts';
import { marksOf, type Marks } from './marks.ts';

/** The kernel takes a while to give back the memory of a virtual machine. */
const WAITS = { termMs: 5_000, killMs: 10_000 };
/** PATH_MAX of limits.h, for what tells the program. */
const PROGRAM_BYTES = 4096;
/** More than execve(2) lets through, "Limits on size of arguments and environment". */
const MAX_ARGUMENT_BYTES = 8 * 1024 * 1024;
const PART_BYTES = 64 * 1024;

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

/**
 * Processes outside machines of jobs whose program, by its file name, `isWanted`; one that ends
 * meanwhile is left out.
 */
export async function findProcesses(isWanted: (program: string) => boolean): Promise<VmProcess[]> {
  const found: VmProcess[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)) {
    // First: a job's author can make its processes a long read, megabytes each.
    if (isInJobMachine({ cgroups: await readOrEmpty(`/proc/${pid}/cgroup`) })) continue;
    const [program = ''] = await readArguments(pid, PROGRAM_BYTES);
    const process = isWanted(basename(program)) ? await readProcess(pid) : undefined;
    if (process !== undefined) found.push(process);
  }
  return found;
}

/**
 * Undefined when there is no such process, or only what waits to be noticed by its parent. Of one in
 * a job's machine neither arguments nor marks are read.
 */
export async function readProcess(pid: number): Promise<VmProcess | undefined> {
  const now = readStat(pid);
  const owner = await stat(`/proc/${pid}`).catch(() => undefined);
  if (now === undefined || now.isDead || owner === undefined) return undefined;
  const cgroups = await readOrEmpty(`/proc/${pid}/cgroup`);
  const isInside = isInJobMachine({ cgroups });
  const argv = isInside ? [] : await readArguments(pid, MAX_ARGUMENT_BYTES);
  const marks = marksOf(isInside ? [] : readEnvironment(pid));
  return { pid, startTime: now.startTime, uid: owner.uid, argv, marks, cgroups };
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

/** As far as they are in so many bytes; empty for a process that has ended. */
async function readArguments(pid: number, maxBytes: number): Promise<readonly string[]> {
  const file = await open(`/proc/${pid}/cmdline`).catch(() => undefined);
  if (file === undefined) return [];
  try {
    const parts: Buffer[] = [];
    for (let size = 0; size < maxBytes;) {
      const length = Math.min(PART_BYTES, maxBytes - size);
      const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(length), 0, length);
      if (bytesRead === 0) break;
      parts.push(buffer.subarray(0, bytesRead));
      size += bytesRead;
    }
    return Buffer.concat(parts).toString().replace(/\0$/, '').split('\0');
  } catch {
    return [];
  } finally {
    await file.close();
  }
}

async function readOrEmpty(file: string): Promise<string> {
  return readFile(file, 'utf8').catch(() => '');
}
