/** GitLab Runner's temporary directories that config has marked (temp-dir-mark.ts), as the reaper finds them. */
import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { entriesOf } from './directory-entries.ts';
import { machineName, parseMachineName } from './names.ts';
import { isProcessIdentity } from './record.ts';
import {
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
    return { file, root: readSmall(file) };
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

/** What the mark of a directory says; undefined where there is none that can be believed. */
export function readMark(path: string): Omit<MarkedTempDir, 'path'> | undefined {
  const text = readSmall(join(path, MARK));
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

/** Text of a small regular file of ours; undefined for anything else. */
function readSmall(path: string): string | undefined {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const stat = fstatSync(file);
    const isOurs = stat.isFile() && stat.uid === process.getuid?.() && stat.size <= MAX_BYTES;
    return isOurs ? readFileSync(file, 'utf8') : undefined;
  } finally {
    closeSync(file);
  }
}
