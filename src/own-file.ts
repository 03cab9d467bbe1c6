/** Small files that we, or root for us, have written: what else is in their place counts for nothing. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';

/**
 * The text of a regular file of ours; undefined for one that is not there, is somebody else's, is
 * longer than `maxBytes` or no file at all.
 */
export function readOwnFile(path: string, maxBytes: number): string | undefined {
  let file: number;
  try {
    // Without O_NONBLOCK a FIFO in its place would hold us, fifo(7).
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const stat = fstatSync(file);
    const isOurs = stat.isFile() && stat.uid === process.geteuid?.() && stat.size <= maxBytes;
    return isOurs ? readFileSync(file, 'utf8') : undefined;
  } finally {
    closeSync(file);
  }
}
