/**
 * One version of a chroot: how it is called, and what is known of it, which lies beside its tree.
 *
 * INVARIANT: the tree of a version is never changed; `machine.json` and `upstream` beside it are
 * replaced whole.
 */
import { randomBytes } from 'node:crypto';
import { open, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HostError } from '../errors.ts';

/** Format 1 had neither digest nor environment: what it says of a recipe is not compared. */
const FORMAT = 2;

export type VersionOrigin = 'build' | 'refresh' | 'login' | 'import';

export interface ParentVersion {
  readonly name: string;
  readonly version: string;
}

export interface TrialRecord {
  /** Seconds from the start of the unit until the machine was ready. */
  readonly bootSec: number;
  /** As `systemctl is-system-running` has it. */
  readonly state: string;
  /** Names of the checks that passed. */
  readonly checks: readonly string[];
}

export interface VersionRecord {
  readonly format: 2;
  readonly name: string;
  readonly version: string;
  /** ISO 8601, UTC. */
  readonly created: string;
  readonly origin: VersionOrigin;
  readonly recipe?: {
    readonly file: string;
    /** Of all that decides what the tree holds, recipe-digest.ts. */
    readonly digest: string;
  };
  readonly parent?: ParentVersion;
  /** What the source said of itself. */
  readonly source: Readonly<Record<string, string>>;
  /** Set for every process of its machines; a chroot that extends this one adds to it. */
  readonly environment: Readonly<Record<string, string>>;
  /** Old versions that stay though no job uses them. */
  readonly keep: number;
  readonly nspawnRunner: string;
  /** Missing where systemd did not run when it was made. */
  readonly trial?: TrialRecord;
  readonly bytes: number;
  readonly files: number;
  /** Paths in the tree of set-user-ID and set-group-ID files. */
  readonly setuid: readonly string[];
}

/** Sorts by time; the random part keeps two of one second apart. */
export function newVersion(now: Date): string {
  const stamp = now.toISOString().replace(/\.\d+Z$/, 'Z');
  return `${stamp.replaceAll(/[-:]/g, '')}-${randomBytes(3).toString('hex')}`;
}

/** @param directory a version's, or the one that becomes it. */
export async function writeVersionRecord(
  directory: string,
  record: Omit<VersionRecord, 'format'>,
): Promise<void> {
  const text = JSON.stringify({ format: FORMAT, ...record }, undefined, 2);
  await writeFile(join(directory, 'version.json'), `${text}\n`, { flag: 'wx' });
}

/** Another keep count for a version that stays as it is. */
export async function writeKeep(directory: string, keep: number): Promise<void> {
  const record = await readVersionRecord(directory);
  if (record === undefined || record.keep === keep) return;
  const text = JSON.stringify({ ...record, keep }, undefined, 2);
  await replaceFile(join(directory, 'version.json'), `${text}\n`);
}

/**
 * Undefined for a version of format 1 or without a record.
 * @throws HostError for one that a newer nspawn-runner wrote, that is torn, or that cannot be read.
 */
export async function readVersionRecord(directory: string): Promise<VersionRecord | undefined> {
  const path = join(directory, 'version.json');
  const text = await readIfThere(path).catch((cause: unknown) => {
    throw new HostError(`"${path}" cannot be read.`, {
      cause,
      hint: 'Mend the file system, or make a new version: nspawn-runner chroot create NAME.',
    });
  });
  if (text === undefined) return undefined;
  const record = parseObject(text);
  if (record?.['format'] === 1) return undefined;
  if (record?.['format'] === FORMAT) return record as unknown as VersionRecord;
  throw new HostError(`"${path}" cannot be understood.`, {
    details: ['It is torn, or a newer nspawn-runner wrote it.'],
    hint: 'Use that nspawn-runner, or make a new version: nspawn-runner chroot create NAME.',
  });
}

/** What upstream offered when the version was made or last found up to date, recipe-digest.ts. */
export async function readUpstream(directory: string): Promise<string | undefined> {
  return (await readIfThere(join(directory, 'upstream')))?.trim();
}

export async function writeUpstream(directory: string, state: string): Promise<void> {
  await replaceFile(join(directory, 'upstream'), `${state}\n`);
}

/** Whole or not at all, for whoever reads it meanwhile and after a loss of power. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const file = await open(`${path}.new`, 'w');
  try {
    await file.writeFile(text);
    // rename(2) may come to the disk before what was written, and leave an empty file.
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
  await syncDirectory(dirname(path));
}

/** fsync(2) of a file does not bring its name to the disk. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null
      ? (value as Readonly<Record<string, unknown>>)
      : undefined;
  } catch {
    return undefined;
  }
}
