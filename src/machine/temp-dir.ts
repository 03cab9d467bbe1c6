/**
 * GitLab Runner's temporary directory of a job holds its token and variables, and stays when the
 * Runner is killed. A mark in it says that it is a job of ours, and who its Runner is; it goes with
 * the directory.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { entriesOf } from './directory-entries.ts';
import { parseMachineName } from './names.ts';
import { findRunner, type ProcessIdentity } from './process-identity.ts';
import { isProcessIdentity } from './record.ts';

const MARK = '.nspawn-runner.json';
const MAX_BYTES = 4096;
/** GitLab Runner's name for it; any other TMPDIR is somebody's own. */
const NAME = /^custom-executor\w+$/;
/** Where a GitLab Runner without a TMPDIR of its own makes them, and what is looked through anyway. */
const USUAL_ROOTS = ['/tmp', '/var/tmp'];

export interface TempDirMark {
  readonly format: 1;
  readonly machine: string;
  readonly runnerProcess?: ProcessIdentity | undefined;
}

export interface MarkedTempDir extends TempDirMark {
  readonly path: string;
}

/** Marks the directory, once; one that is not GitLab Runner's own, or not root's alone, stays as it is. */
export function markTempDir(path: string | undefined, machine: string, stateDir: string): void {
  if (path === undefined || !isRunnersOwn(path)) return;
  const mark: TempDirMark = { format: 1, machine, runnerProcess: findRunner(path) };
  try {
    writeFileSync(join(path, MARK), `${JSON.stringify(mark)}\n`, { flag: 'wx', mode: 0o600 });
  } catch {
    return;
  }
  const root = dirname(path);
  if (!USUAL_ROOTS.includes(root)) rememberRoot(stateDir, root);
}

function isRunnersOwn(path: string): boolean {
  if (!NAME.test(basename(path))) return false;
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return (
    stat?.isDirectory() === true && stat.uid === process.getuid?.() && (stat.mode & 0o022) === 0
  );
}

function rootsDirectory(stateDir: string): string {
  return join(stateDir, 'temp-roots');
}

/** A Runner with a TMPDIR of its own: nobody else could tell where its directories are. */
function rememberRoot(stateDir: string, root: string): void {
  const name = createHash('sha256').update(root).digest('hex').slice(0, 16);
  const path = join(rootsDirectory(stateDir), name);
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return;
  mkdirSync(rootsDirectory(stateDir), { recursive: true, mode: 0o700 });
  writeFileSync(path, root, { mode: 0o600 });
}

/** Roots that were remembered and are gone, with the file that says so. */
export interface TempRoots {
  readonly roots: readonly string[];
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

/** The mark of a directory; undefined where there is none that can be believed. */
export function readMark(path: string): TempDirMark | undefined {
  const text = readSmall(join(path, MARK));
  return text === undefined ? undefined : parseMark(text);
}

export function parseMark(text: string): TempDirMark | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { format, machine, runnerProcess } = value as Record<string, unknown>;
  if (format !== 1 || typeof machine !== 'string' || parseMachineName(machine) === undefined) {
    return undefined;
  }
  return {
    format,
    machine,
    runnerProcess: isProcessIdentity(runnerProcess) ? runnerProcess : undefined,
  };
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
