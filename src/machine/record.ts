/**
 * What is known of a job's machine: written before anything else of it exists, read by every later
 * stage and by whoever looks for orphans. It goes with the job's directory.
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
  writeFileSync,
} from 'node:fs';
import { HostError } from '../errors.ts';
import type { JobDirectory } from './job-directory.ts';
import type { ProcessIdentity } from './process-identity.ts';

const MAX_BYTES = 64 * 1024;

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
  readonly chroot: string;
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

export function writeRecord(directory: JobDirectory, record: MachineRecord): void {
  const aside = `${directory.record}.new`;
  const text = `${JSON.stringify(record, undefined, 1)}\n`;
  writeFileSync(aside, text, { flag: 'wx', mode: 0o600 });
  renameSync(aside, directory.record);
}

/**
 * Undefined when there is none.
 * @throws HostError for a record that is torn, foreign or of a format this program does not know.
 */
export function readRecord(directory: JobDirectory): MachineRecord | undefined {
  let file: number;
  try {
    file = openSync(directory.record, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new HostError(`Record "${directory.record}" cannot be read.`, { cause: error });
  }
  try {
    const { uid, size } = fstatSync(file);
    if (uid !== process.getuid?.() || size > MAX_BYTES) {
      throw new HostError(`Record "${directory.record}" is not ours.`, {
        details: [`It belongs to user ${uid} and has ${size} bytes.`],
      });
    }
    return parseRecord(readFileSync(file, 'utf8'), directory.record);
  } finally {
    closeSync(file);
  }
}

/** The same, with undefined for what is torn, foreign or of another format. */
export function readUsableRecord(directory: JobDirectory): MachineRecord | undefined {
  try {
    return readRecord(directory);
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
  if (!isRecord(value)) {
    throw new HostError(`Record "${path}" has a format that this nspawn-runner does not know.`, {
      hint: 'It was written by a newer version: finish the job with that version.',
    });
  }
  return value;
}

const REQUIRED = {
  machine: 'string',
  attempt: 'string',
  jobId: 'string',
  projectId: 'string',
  tag: 'string',
  createdAt: 'string',
  deadline: 'string',
  chroot: 'string',
  shell: 'string',
  user: 'string',
  stopTimeoutSec: 'number',
  scriptStopTimeoutSec: 'number',
} as const;

function isRecord(value: unknown): value is MachineRecord {
  if (typeof value !== 'object' || value === null) return false;
  const fields = value as Record<string, unknown>;
  return (
    fields['format'] === 1 &&
    Object.entries(REQUIRED).every(([name, type]) => typeof fields[name] === type)
  );
}
