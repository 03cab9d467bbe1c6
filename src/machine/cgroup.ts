/**
 * A machine's control groups, read and signalled from the host: it works when the machine's own
 * manager does not answer, and an empty group is the proof that nothing of a script is left.
 */
import { existsSync } from 'node:fs';
import { access, readFile, readdir, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
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

/** Whether any process is in the group or below it; a group that is gone has none. */
export async function isPopulated(cgroup: string): Promise<boolean> {
  const events = await readFile(join(cgroup, 'cgroup.events'), 'utf8').catch(() => '');
  return /^populated 1$/m.test(events);
}

/** Waits until the group is empty; false when it is not by then. */
export async function waitUntilEmpty(cgroup: string, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  while (await isPopulated(cgroup)) {
    if (performance.now() >= end) return false;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return true;
}

/** Sends a signal to every process in the group and below it. */
export async function signalCgroup(cgroup: string, signal: NodeJS.Signals): Promise<void> {
  if (signal === 'SIGKILL' && (await killAtOnce(cgroup))) return;
  for (const pid of await processesIn(cgroup)) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/** Whether some process in the group would notice the signal: handles it or dies of it. */
export async function isHeard(cgroup: string, signal: NodeJS.Signals): Promise<boolean> {
  const bit = 1n << BigInt(constants.signals[signal] - 1);
  for (const pid of await processesIn(cgroup)) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
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
    await signalCgroup(cgroup, 'SIGKILL');
    if (await waitUntilEmpty(cgroup, 50)) return true;
  } while (performance.now() < end);
  return false;
}

/** How many processes of the machine the kernel has killed for want of memory. */
export async function oomKills(machine: string): Promise<number> {
  const path = machinePath(machine);
  const candidates = [
    join(unifiedRoot(), path, 'memory.events'),
    join(ROOT, 'memory', path, 'memory.oom_control'),
  ];
  for (const file of candidates) {
    const text = await readFile(file, 'utf8').catch(() => '');
    const [, count] = /^oom_kill (\d+)$/m.exec(text) ?? [];
    if (count !== undefined) return Number(count);
  }
  return 0;
}

/** The same, counted from an earlier reading. */
export async function newOomKills(machine: string, before: number): Promise<number> {
  return Math.max(0, (await oomKills(machine)) - before);
}

/** cgroup.kill came with Linux 5.14 (cgroups(7)). */
async function killAtOnce(cgroup: string): Promise<boolean> {
  const file = join(cgroup, 'cgroup.kill');
  try {
    await access(file);
    await writeFile(file, '1');
    return true;
  } catch {
    return false;
  }
}

async function processesIn(cgroup: string): Promise<number[]> {
  const [procs, entries] = await Promise.all([
    readFile(join(cgroup, 'cgroup.procs'), 'utf8').catch(() => ''),
    readdir(cgroup, { withFileTypes: true }).catch(() => []),
  ]);
  const below = await Promise.all(
    entries.filter((entry) => entry.isDirectory()).map((e) => processesIn(join(cgroup, e.name))),
  );
  return [
    ...procs
      .split('\n')
      .filter((line) => line !== '')
      .map(Number),
    ...below.flat(),
  ];
}
