/** A file that a recipe names by path or URL, as a copy of our own: what is checked is what is used. */
import { createHash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { SettingsError, Stopped } from '../../errors.ts';
import type { ConfinedRun } from '../../tools/confined.ts';
import { download } from '../../tools/curl.ts';
import { isSurelyWrite, unwritable } from '../write-failure.ts';
import { requireProgram } from './required-program.ts';

/** Otherwise it is a path on this host. */
export function isUrl(location: string): boolean {
  return /^[a-z]+:\/\//.test(location);
}

/** For records and people: what stands before "@" in a URL is nobody's business. */
export function withoutCredentials(location: string): string {
  return location.replace(/^([a-z+]+:\/\/)[^/@]*@/, '$1');
}

/**
 * Brings it into `file`, which is not there.
 * @throws CommandError when the download fails, SettingsError when a path cannot be read,
 *   HostError when the copy cannot be written.
 */
export async function fetchFile(location: string, file: string, how: ConfinedRun): Promise<void> {
  if (isUrl(location)) {
    await requireProgram('curl', 'curl', 'downloads archives');
    await download(location, file, how);
    return;
  }
  try {
    await copyFile(location, file, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
  } catch (cause) {
    throw isSurelyWrite(cause) ? unwritable(cause, file) : unreadable(location, cause);
  }
}

/**
 * Hexadecimal.
 * @throws SettingsError when the file cannot be read, Stopped.
 */
export async function sha256OfFile(file: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(file, { highWaterMark: 1024 * 1024 }), hash, { signal });
  } catch (cause) {
    if (signal.aborted) throw new Stopped(`The reading of "${file}" was stopped.`);
    throw unreadable(file, cause);
  }
  return hash.digest('hex');
}

function unreadable(file: string, cause: unknown): SettingsError {
  return new SettingsError(`"${file}" cannot be read.`, {
    details: [cause instanceof Error ? cause.message : String(cause)],
    hint: 'Put it there, or correct the recipe.',
    cause,
  });
}
