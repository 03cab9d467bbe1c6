/**
 * BUILD_EXIT_CODE_FILE: the script's own exit code for GitLab Runner 17.9 and newer, which reads the
 * file after every driver call that exits with 1 and never deletes it. So every such call writes it
 * or removes what an earlier one wrote. Older ones name no file, or an empty one.
 */
import { lstatSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { HostError } from '../errors.ts';
import type { Environment } from './job.ts';

/**
 * Writes the code that the job shows.
 * @throws HostError when the file cannot be written: the job would show another code.
 */
export function writeExitCode(code: number, env: Environment = process.env): void {
  const file = exitCodeFile(env);
  if (file === undefined) return;
  if (!Number.isSafeInteger(code)) throw new TypeError(`${code} is not an exit code.`);
  const draft = `${file}.${process.pid}`;
  try {
    refuseOther(file);
    writeFileSync(draft, `${code}\n`, { flag: 'wx', mode: 0o600 });
    renameSync(draft, file);
  } catch (error) {
    rmSync(draft, { force: true });
    throw notUsable(file, 'written', error);
  }
}

/**
 * Removes what an earlier stage wrote.
 * @throws HostError when the file is there and stays: GitLab Runner would read it again.
 */
export function clearExitCode(env: Environment = process.env): void {
  const file = exitCodeFile(env);
  if (file === undefined) return;
  try {
    refuseOther(file);
    rmSync(file, { force: true });
  } catch (error) {
    throw notUsable(file, 'removed', error);
  }
}

function exitCodeFile(env: Environment): string | undefined {
  const file = env['BUILD_EXIT_CODE_FILE'];
  return file === '' ? undefined : file;
}

/** GitLab Runner reads through a link, and nobody who means well puts one there. */
function refuseOther(file: string): void {
  const entry = lstatSync(file, { throwIfNoEntry: false });
  if (entry?.isFile() === false) throw new HostError('It is no regular file.');
}

function notUsable(file: string, verb: string, cause: unknown): HostError {
  return new HostError(`Exit code file "${file}" cannot be ${verb}.`, {
    details: [cause instanceof Error ? cause.message : String(cause)],
    hint: 'GitLab Runner names it for each job; look for a full disk or a cleaner of temporary files.',
    cause,
  });
}
