/**
 * What is known of a job's machine: written before anything else of it exists, read by every later
 * stage and by whoever looks for orphans. It goes with the job's directory. The version of the chroot
 * in it is what keeps that version on disk (hold-current.ts): whoever removes versions reads it.
 *
 * INVARIANT: a record is whole or not there (written aside, then renamed) and belongs to root.
 */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { HostError } from '../errors.ts';
import { VM_KINDS, type VmKind } from '../vm/virtual-machine.ts';
import type { ProcessIdentity } from '../process-identity.ts';

const MAX_BYTES = 64 * 1024;

export interface VmPlaces {
  readonly kinds: readonly VmKind[];
  /** Whose they may be. */
  readonly users: readonly string[];
}

export interface MachineRecord {
  readonly format: 1;
  readonly machine: string;
  /** Random; tells this attempt from an earlier one of the same name. */
  readonly attempt: string;
  readonly jobId: string;
  readonly projectId: string;
  readonly origin: string;
  /** `--runner`, for people. */
  readonly runner?: string | undefined;
  /** Value of `_CI_JOB_TAG`. */
  readonly tag: string;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
  /** ISO 8601, UTC: PID 1 ends the machine then. */
  readonly deadline: string;
  /** The prepare stage that wrote this. */
  readonly creator?: ProcessIdentity | undefined;
  /** GitLab Runner itself. */
  readonly runnerProcess?: ProcessIdentity | undefined;
  /** GitLab Runner's directory for this attempt. */
  readonly tmpDir?: string | undefined;
  /** GitLab Runner's file with the job's token, in that directory. */
  readonly responseFile?: string | undefined;
  /** Host directories that are this job's while it lives: a virtual machine in one is its own. */
  readonly directories?: readonly string[] | undefined;
  /** Where to look for virtual machines of the job, on a host that has any. */
  readonly virtualMachines?: VmPlaces | undefined;
  /** A person wants the machine to outlive its job, until the deadline (`exec --keep`). */
  readonly isKept?: boolean | undefined;
  /** Nobody's job: its creator tries whether the chroot is good for jobs, and GitLab knows nothing of it. */
  readonly isTrial?: boolean | undefined;
  readonly chroot: string;
  /** The one that is mounted, or that is about to be. */
  readonly chrootVersion: string;
  /** Absolute path in the machine. */
  readonly shell: string;
  readonly user: string;
  /** A home that was made for the user; absolute in the machine. */
  readonly home?: string | undefined;
  /** As a person reads it, for the message when memory runs out. */
  readonly memoryLimit?: string | undefined;
  readonly stopTimeoutSec: number;
  readonly scriptStopTimeoutSec: number;
  /** Builds directory on the host, where builds are kept. */
  readonly keptBuilds?: string | undefined;
}

/**
 * @param path a record's file, in a directory that is root's alone.
 * @param aside where it is written first, on the same file system; stays when we are killed.
 */
export function writeRecord(path: string, record: MachineRecord, aside = `${path}.new`): void {
  rmSync(aside, { force: true });
  writeFileSync(aside, `${JSON.stringify(record, undefined, 1)}\n`, { flag: 'wx', mode: 0o600 });
  renameSync(aside, path);
}

/**
 * Undefined when there is none.
 * @throws HostError for a record that is torn, foreign or of a format this program does not know.
 */
export function readRecord(path: string): MachineRecord | undefined {
  let file: number;
  try {
    // A FIFO in its place would hold an open(2) that waits.
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    const Kind = NO_FILE.includes(code) ? HostError : UnreadableRecord;
    throw new Kind(`Record "${path}" cannot be read.`, { cause: error });
  }
  try {
    const stat = fstatSync(file);
    if (!stat.isFile() || stat.uid !== process.getuid?.() || stat.size > MAX_BYTES) {
      throw new HostError(`Record "${path}" is not ours.`, {
        details: [`It belongs to user ${stat.uid} and has ${stat.size} bytes.`],
      });
    }
    return parseRecord(readFileSync(file, 'utf8'), path);
  } finally {
    closeSync(file);
  }
}

/** What is known of a record that need not be good: what a newer version wrote is not ours to judge. */
export type RecordState =
  | { readonly state: 'none' | 'unusable' | 'newer' | 'unreadable' }
  | { readonly state: 'usable'; readonly record: MachineRecord };

export function inspectRecord(path: string): RecordState {
  try {
    const record = readRecord(path);
    return record === undefined ? { state: 'none' } : { state: 'usable', record };
  } catch (error) {
    if (error instanceof NewerRecord) return { state: 'newer' };
    // A disk that fails, or no file descriptor left, says nothing of the record.
    const isKnown = error instanceof HostError && !(error instanceof UnreadableRecord);
    return { state: isKnown ? 'unusable' : 'unreadable' };
  }
}

class NewerRecord extends HostError {}
class UnreadableRecord extends HostError {}
/** What open(2) says of a link, a socket, and a file in place of the directory. */
const NO_FILE = ['ELOOP', 'ENXIO', 'ENOTDIR'];

/** The same, with undefined for what is torn, foreign or of another format. */
export function readUsableRecord(path: string): MachineRecord | undefined {
  try {
    return readRecord(path);
  } catch {
    return undefined;
  }
}

/** @throws HostError for text that is no record of format 1. */
export function parseRecord(text: string, path: string): MachineRecord {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new HostError(`Record "${path}" is torn.`, { cause: error });
  }
  if (isNewer(value)) {
    throw new NewerRecord(`Record "${path}" has a format that this nspawn-runner does not know.`, {
      hint: 'It was written by a newer version: finish the job with that version.',
    });
  }
  if (!isRecord(value)) throw new HostError(`Record "${path}" is not whole.`);
  return value;
}

const REQUIRED = {
  machine: 'string',
  attempt: 'string',
  jobId: 'string',
  projectId: 'string',
  origin: 'string',
  tag: 'string',
  createdAt: 'string',
  deadline: 'string',
  chroot: 'string',
  chrootVersion: 'string',
  shell: 'string',
  user: 'string',
  stopTimeoutSec: 'number',
  scriptStopTimeoutSec: 'number',
} as const;

function isNewer(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { format } = value as Record<string, unknown>;
  return typeof format === 'number' && format > 1;
}

function isRecord(value: unknown): value is MachineRecord {
  if (typeof value !== 'object' || value === null) return false;
  const fields = value as Record<string, unknown>;
  return (
    fields['format'] === 1 &&
    Object.entries(REQUIRED).every(([name, type]) => typeof fields[name] === type) &&
    [fields['createdAt'], fields['deadline']].every(isTime) &&
    Object.entries(OPTIONAL).every(([name, is]) => fields[name] === undefined || is(fields[name]))
  );
}

export function isProcessIdentity(value: unknown): value is ProcessIdentity {
  if (typeof value !== 'object' || value === null) return false;
  const { pid, startTime, bootId } = value as Record<string, unknown>;
  return Number.isSafeInteger(pid) && typeof startTime === 'string' && typeof bootId === 'string';
}

function isText(value: unknown): boolean {
  return typeof value === 'string';
}

function isBoolean(value: unknown): boolean {
  return typeof value === 'boolean';
}

function isTime(value: unknown): boolean {
  return typeof value === 'string' && !Number.isNaN(Date.parse(value));
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(isText);
}

function isVmPlaces(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { kinds, users } = value as Record<string, unknown>;
  const known: readonly string[] = VM_KINDS;
  return isTexts(kinds) && kinds.every((kind) => known.includes(kind)) && isTexts(users);
}

/** What others act on. */
const OPTIONAL: Readonly<Record<string, (value: unknown) => boolean>> = {
  creator: isProcessIdentity,
  runnerProcess: isProcessIdentity,
  tmpDir: isText,
  responseFile: isText,
  keptBuilds: isText,
  directories: isTexts,
  virtualMachines: isVmPlaces,
  isKept: isBoolean,
  isTrial: isBoolean,
};
