/** Paths that virtual machines name, resolved and removed with care: a job made them up. */
import { constants } from 'node:fs';
import { lstat, open, realpath, unlink, type FileHandle } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative } from 'node:path';
import { HostError } from '../errors.ts';
import { isAtOrBelow } from './ownership.ts';

/** With links resolved as far as the path exists. */
export async function resolvePath(path: string): Promise<string> {
  const rest: string[] = [];
  for (let at = path; ; at = dirname(at)) {
    const real = await realpath(at).catch(() => undefined);
    if (real !== undefined) return join(real, ...rest);
    if (at === dirname(at)) return path;
    rest.unshift(basename(at));
  }
}

/** The absolute ones of these paths, each as it is named and as it is. */
export async function evidencePaths(
  paths: readonly (string | undefined)[],
): Promise<readonly string[]> {
  const found = new Set<string>();
  for (const path of paths) {
    if (path === undefined || !isAbsolute(path) || path.includes('\0')) continue;
    // What ".." leads to only the file system knows.
    if (!path.split('/').includes('..')) found.add(join(path));
    found.add(await resolvePath(path));
  }
  return [...found];
}

/** Whether a file is, links resolved, at or below one of the directories. */
export async function isInside(path: string, directories: readonly string[]): Promise<boolean> {
  const real = await resolvePath(path);
  return directories.some((directory) => isAtOrBelow(real, directory));
}

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * Removes a regular file below one of the directories; true when it is gone. Each directory on the
 * way is opened from the one above it, so that no link and no mount leads elsewhere.
 * @throws HostError for what is no regular file, or on another file system.
 */
export async function removeFileBelow(
  path: string,
  directories: readonly string[],
): Promise<boolean> {
  const real = join(await resolvePath(dirname(path)), basename(path));
  const top = directories.find((directory) => isAtOrBelow(real, directory) && real !== directory);
  if (top === undefined) return false;
  const handles: FileHandle[] = [];
  try {
    let at = await open(top, DIRECTORY);
    handles.push(at);
    const { dev } = await at.stat();
    const parts = relative(top, real).split('/');
    const name = parts.pop() ?? '';
    for (const part of parts) {
      at = await open(`/proc/self/fd/${at.fd}/${part}`, DIRECTORY);
      handles.push(at);
    }
    await unlinkIn(at, name, { dev, path: real });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  } finally {
    for (const handle of handles) await handle.close();
  }
}

async function unlinkIn(
  directory: FileHandle,
  name: string,
  { dev, path }: { readonly dev: number; readonly path: string },
): Promise<void> {
  const entry = `/proc/self/fd/${directory.fd}/${name}`;
  const found = await lstat(entry);
  if (!found.isFile() || found.dev !== dev) {
    throw new HostError(`"${path}" is not removed, because it is no plain file of its directory.`);
  }
  await unlink(entry);
}

export async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined;
}
