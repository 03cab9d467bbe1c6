/** GitLab Runner's temporary directories that config has marked (temp-dir-mark.ts), as the reaper finds them. */
import { lstatSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readOwnFile } from '../own-file.ts';
import { entriesOf } from './directory-entries.ts';
import { machineName, parseMachineName } from './names.ts';
import { isAlive, type ProcessIdentity } from '../process-identity.ts';
import { isProcessIdentity } from './record.ts';
import {
  hasRunnersName,
  isRunnersOwn,
  MARK,
  rootsDirectory,
  USUAL_ROOTS,
  type TempDirMark,
} from './temp-dir-mark.ts';

const MAX_BYTES = 4096;

export interface MarkedTempDir extends Pick<TempDirMark, 'runnerProcess'> {
  readonly path: string;
  readonly machine: string;
}

export interface TempRoots {
  readonly roots: readonly string[];
  /** Files that remember a root that is gone. */
  readonly gone: readonly string[];
}

/** Where directories of Runners may be. */
export function tempRoots(stateDir: string): TempRoots {
  const remembered = entriesOf(rootsDirectory(stateDir)).map((name) => {
    const file = join(rootsDirectory(stateDir), name);
    return { file, root: readOwnFile(file, MAX_BYTES) };
  });
  const isThere = (root: string | undefined): root is string =>
    root?.startsWith('/') === true &&
    lstatSync(root, { throwIfNoEntry: false })?.isDirectory() === true;
  return {
    roots: [...USUAL_ROOTS, ...remembered.map(({ root }) => root).filter(isThere)],
    gone: remembered.filter(({ root }) => !isThere(root)).map(({ file }) => file),
  };
}

/** Directories of Runners that carry our mark; a mark that is torn or not root's is none. */
export function listTempDirs(stateDir: string): readonly MarkedTempDir[] {
  const found: MarkedTempDir[] = [];
  for (const root of new Set(tempRoots(stateDir).roots)) {
    for (const name of entriesOf(root)) {
      const path = join(root, name);
      if (!isRunnersOwn(path)) continue;
      const mark = readMark(path);
      if (mark !== undefined) found.push({ ...mark, path });
    }
  }
  return found;
}

/**
 * Whether a Runner that lives has ended an attempt: it removes the attempt's directory behind its
 * cleanup, last of all. Its /tmp may be its own (systemd.exec(5), PrivateTmp=), so the directory is
 * looked for where the Runner would find it.
 */
export function hasEndedAttempt(
  runner: ProcessIdentity | undefined,
  tmpDir: string | undefined,
): boolean {
  if (runner === undefined || tmpDir === undefined || !hasRunnersName(tmpDir)) return false;
  const sees = (path: string): boolean =>
    lstatSync(`/proc/${runner.pid}/root${path}`, { throwIfNoEntry: false }) !== undefined;
  try {
    return !sees(tmpDir) && sees(dirname(tmpDir)) && isAlive(runner);
  } catch {
    return false;
  }
}

/** What the mark of a directory says; undefined where there is none that can be believed. */
export function readMark(path: string): Omit<MarkedTempDir, 'path'> | undefined {
  const text = readOwnFile(join(path, MARK), MAX_BYTES);
  return text === undefined ? undefined : parseMark(text);
}

export function parseMark(text: string): Omit<MarkedTempDir, 'path'> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { format, origin, jobId, runnerProcess } = value as Record<string, unknown>;
  if (format !== 1 || typeof origin !== 'string' || typeof jobId !== 'string') return undefined;
  if (parseMachineName(`nsr1-aaaaaaaa-${jobId}`) === undefined) return undefined;
  const runner = isProcessIdentity(runnerProcess) ? runnerProcess : undefined;
  return { machine: machineName({ origin, id: jobId }), runnerProcess: runner };
}
