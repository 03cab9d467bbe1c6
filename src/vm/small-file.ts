/** Files that belong to others, read without following a link, waiting at a pipe or running out of memory. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { HostError } from '../errors.ts';

/**
 * Undefined when it is not there.
 * @throws HostError for what is no regular file or longer than `maxBytes`.
 */
export async function readSmallFile(path: string, maxBytes: number): Promise<string | undefined> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  let file;
  try {
    file = await open(path, flags);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new HostError(`"${path}" cannot be read.`, { cause: error });
  }
  try {
    const found = await file.stat();
    if (!found.isFile() || found.size > maxBytes) {
      throw new HostError(`"${path}" is not read, because it is no file or too long.`);
    }
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}
