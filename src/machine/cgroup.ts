/**
 * A machine's control groups, read and signalled from the host: it works when the machine's own
 * manager does not answer, and an empty group is the proof that nothing of a script is left.
 */
import { existsSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { basename, join } from 'node:path';
import { SLICE, unitName } from './names.ts';

const ROOT = '/sys/fs/cgroup';
const POLL_MS = 10;

/** Where systemd keeps its units: the only hierarchy, or beside the v1 controllers. */
function unifiedRoot(): string {
  return existsSync(join(ROOT, 'cgroup.controllers')) ? ROOT : join(ROOT, 'unified');
}

/** systemd.slice(5): a dash in a slice's name is a level of the tree. */
export function slicePath(slice: string): string {
  const words = slice.replace(/\.slice$/, '').split('-');
  return words.map((_, index) => `${words.slice(0, index + 1).join('-')}.slice`).join('/');
}

function machinePath(machine: string): string {
  return join(slicePath(SLICE), unitName(machine));
}

/** The group of everything of the machine, or of one unit in it. */
export function machineCgroup(machine: string, innerUnit?: string): string {
  const outer = join(unifiedRoot(), machinePath(machine));
  // systemd-nspawn puts the machine's init below "payload" and itself below "supervisor".
  return innerUnit === undefined ? outer : join(outer, 'payload/system.slice', innerUnit);
}

/** Names of the groups in our slice, one for each unit. */
export function groupsInSlice(): readonly string[] {
  return groupsBelow(join(unifiedRoot(), slicePath(SLICE))).map((group) => basename(group));
}

/** Whether any process is in the group or below it; a group that is gone has none. */
export function isPopulated(cgroup: string): boolean {
  const events = readOrEmpty(join(cgroup, 'cgroup.events'));
  return /^populated 1$/m.test(events);
}

/** Waits until the group is empty; false when it is not by then. */
export async function waitUntilEmpty(cgroup: string, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  while (isPopulated(cgroup)) {
    if (performance.now() >= end) return false;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return true;
}

/** Sends a signal to every process in the group and below it. */
export function signalCgroup(cgroup: string, signal: NodeJS.Signals): void {
  if (signal === 'SIGKILL' && killAtOnce(cgroup)) return;
  for (const pid of processesIn(cgroup)) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/** Whether some process in the group would notice the signal: handles it or dies of it. */
export function isHeard(cgroup: string, signal: NodeJS.Signals): boolean {
  const bit = 1n << BigInt(constants.signals[signal] - 1);
  for (const pid of processesIn(cgroup)) {
    const status = readOrEmpty(`/proc/${pid}/status`);
    // proc_pid_status(5): a mask in hexadecimal.
    const [, ignored] = /^SigIgn:\s*([0-9a-f]+)$/m.exec(status) ?? [];
    if (ignored !== undefined && (BigInt(`0x${ignored}`) & bit) === 0n) return true;
  }
  return false;
}

/** KILL until the group is empty; false when processes are left after `timeoutMs`. */
export async function emptyCgroup(cgroup: string, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  do {
    signalCgroup(cgroup, 'SIGKILL');
    if (await waitUntilEmpty(cgroup, 50)) return true;
  } while (performance.now() < end);
  return false;
}

/** Removes an empty group, and those in it, that its manager has forgotten. */
export function removeCgroup(cgroup: string): void {
  for (const group of groupsBelow(cgroup)) removeCgroup(group);
  try {
    rmdirSync(cgroup);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // EBUSY: a process has come into it, and whoever looks for those finds it.
    if (code !== 'ENOENT' && code !== 'EBUSY') throw error;
  }
}

/** How many processes of the machine the kernel has killed for want of memory. */
export function oomKills(machine: string): number {
  const path = machinePath(machine);
  const candidates = [
    join(unifiedRoot(), path, 'memory.events'),
    join(ROOT, 'memory', path, 'memory.oom_control'),
  ];
  for (const file of candidates) {
    const text = readOrEmpty(file);
    const [, count] = /^oom_kill (\d+)$/m.exec(text) ?? [];
    if (count !== undefined) return Number(count);
  }
  return 0;
}

/** The same, counted from an earlier reading. */
export function newOomKills(machine: string, before: number): number {
  return Math.max(0, oomKills(machine) - before);
}

/** cgroup.kill came with Linux 5.14 (cgroups(7)). */
function killAtOnce(cgroup: string): boolean {
  const file = join(cgroup, 'cgroup.kill');
  if (!existsSync(file)) return false;
  try {
    writeFileSync(file, '1');
    return true;
  } catch {
    return false;
  }
}

function processesIn(cgroup: string): number[] {
  const own = readOrEmpty(join(cgroup, 'cgroup.procs'))
    .split('\n')
    .map(Number)
    // 0 is a process of another PID namespace (cgroups(7)), and to kill(2) our own process group.
    .filter((pid) => pid > 0);
  return [...own, ...groupsBelow(cgroup).flatMap((group) => processesIn(group))];
}

function groupsBelow(cgroup: string): string[] {
  try {
    const entries = readdirSync(cgroup, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(cgroup, name));
  } catch {
    return [];
  }
}

/** A group, or a process, may go away between two looks at it. */
function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
