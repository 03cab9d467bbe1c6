/**
 * GitLab Runner's temporary directory of a job holds its token and variables, and stays when the
 * Runner is killed. A mark in it says that it is a job of ours, and who its Runner is; it goes with
 * the directory. Written by every config stage, so this file needs next to nothing.
 */
import { lstatSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { ProcessIdentity } from '../process-identity.ts';
import { findRunner } from '../runner-process.ts';

export const MARK = '.nspawn-runner.json';
/** Where a GitLab Runner without a TMPDIR of its own makes them, and what is looked through anyway. */
export const USUAL_ROOTS = ['/tmp', '/var/tmp'];
/** GitLab Runner's name for it; any other TMPDIR is somebody's own. */
const NAME = /^custom-executor\w+$/;
const OTHERS_WRITE = 0o022;

export interface TempDirMark {
  readonly format: 1;
  /** GitLab instance, see names.ts. */
  readonly origin: string;
  readonly jobId: string;
  readonly runnerProcess?: ProcessIdentity | undefined;
}

export interface MarkedJob {
  readonly id: string;
  readonly origin: string;
  readonly tmpDir: string | undefined;
}

/** Marks the directory, once; one that is not GitLab Runner's own, or not root's alone, stays as it is. */
export function markTempDir({ id, origin, tmpDir }: MarkedJob, stateDir: string): void {
  if (tmpDir === undefined || !isRunnersOwn(tmpDir)) return;
  const mark: TempDirMark = { format: 1, origin, jobId: id, runnerProcess: findRunner(tmpDir) };
  try {
    writeFileSync(join(tmpDir, MARK), `${JSON.stringify(mark)}\n`, { flag: 'wx', mode: 0o600 });
  } catch {
    return;
  }
  if (!USUAL_ROOTS.includes(dirname(tmpDir))) rememberRoot(stateDir, dirname(tmpDir));
}

export function hasRunnersName(path: string): boolean {
  return NAME.test(basename(path));
}

export function isRunnersOwn(path: string): boolean {
  if (!hasRunnersName(path)) return false;
  const stat = lstatSync(path, { throwIfNoEntry: false });
  const isRoots = stat?.uid === process.getuid?.() && ((stat?.mode ?? 0) & OTHERS_WRITE) === 0;
  return stat?.isDirectory() === true && isRoots;
}

export function rootsDirectory(stateDir: string): string {
  return join(stateDir, 'temp-roots');
}

/** A Runner with a TMPDIR of its own: nobody else could tell where its directories are. */
function rememberRoot(stateDir: string, root: string): void {
  const path = join(rootsDirectory(stateDir), encodeURIComponent(root).slice(-200));
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return;
  mkdirSync(rootsDirectory(stateDir), { recursive: true, mode: 0o700 });
  writeFileSync(path, root, { mode: 0o600 });
}
