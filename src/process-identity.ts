/** A process that cannot be mistaken for a later one of the same number. */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

/**
 * No program is started with more, execve(2), "Limits on size of arguments and environment"; but any
 * process can point its own at all of its memory, PR_SET_MM_MAP of prctl(2).
 */
const MAX_ENVIRONMENT_BYTES = 8 * 1024 * 1024;
const PART_BYTES = 64 * 1024;
/** USER_HZ, time(7): the same on every architecture that Debian has. */
const TICKS_PER_SEC = 100;

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot, field 22 of /proc/PID/stat (proc(5)). */
  readonly startTime: string;
  readonly bootId: string;
}

export interface ProcessStat {
  readonly parent: number;
  readonly startTime: string;
  /** Has ended and only waits for its parent to notice, or is just ending. */
  readonly isDead: boolean;
}

/** Undefined when there is no such process. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const stat = readStat(pid);
  return stat === undefined || stat.isDead
    ? undefined
    : { pid, startTime: stat.startTime, bootId: currentBootId() };
}

/** Whether that very process lives. */
export function isAlive(identity: ProcessIdentity): boolean {
  const now = identifyProcess(identity.pid);
  return now?.startTime === identity.startTime && now.bootId === identity.bootId;
}

/** Seconds since the process was started, also when it is gone; undefined for one of another boot. */
export function ageOf(identity: ProcessIdentity | undefined): number | undefined {
  if (identity?.bootId !== currentBootId()) return undefined;
  const upSec = Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]);
  return upSec - Number(identity.startTime) / TICKS_PER_SEC;
}

export function currentBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

export function readStat(pid: number): ProcessStat | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return undefined;
  }
}

/** Parses /proc/PID/stat, proc_pid_stat(5); undefined for text that is none. */
export function parseStat(text: string): ProcessStat | undefined {
  // The command's name, field 2, may hold blanks and parentheses.
  const [state, parent, ...rest] = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const startTime = rest[17];
  if (state === undefined || parent === undefined || startTime === undefined) return undefined;
  if (!/^\d+$/.test(parent) || !/^\d+$/.test(startTime)) return undefined;
  return { parent: Number(parent), startTime, isDead: /^[ZXx]$/.test(state) };
}

/** Entries of a process's environment, as it was started; empty for one that may not be read. */
export function readEnvironment(pid: number): readonly string[] {
  try {
    const file = openSync(`/proc/${pid}/environ`, 'r');
    try {
      return readUpTo(file, MAX_ENVIRONMENT_BYTES).toString().split('\0');
    } finally {
      closeSync(file);
    }
  } catch {
    return [];
  }
}

function readUpTo(file: number, limit: number): Buffer {
  const parts: Buffer[] = [];
  for (let size = 0; size < limit;) {
    const part = Buffer.allocUnsafe(PART_BYTES);
    const read = readSync(file, part);
    if (read === 0) break;
    parts.push(part.subarray(0, read));
    size += read;
  }
  return Buffer.concat(parts);
}
