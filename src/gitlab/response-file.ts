/**
 * Reads the job response file, and only if nobody but root or we can have written it. At once and not
 * by promises, as all that a run stage reads: the first promise of a file costs a tenth of a node start.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { HostError } from '../errors.ts';

const MAX_BYTES = 64 * 1024 * 1024;
const GROUP_OR_OTHERS_WRITE = 0o022;

/**
 * The text of the file.
 * @throws HostError for what is no regular file of root or us, or larger than 64 MiB.
 */
export function readResponseFile(file: string): string {
  const descriptor = openRegular(file);
  try {
    const { size, uid, mode } = fstatSync(descriptor);
    if ((mode & constants.S_IFMT) !== constants.S_IFREG) throw refused(file, 'it is no file');
    if (uid !== 0 && uid !== process.geteuid?.()) {
      throw refused(file, `it belongs to user ${uid}`);
    }
    if ((mode & GROUP_OR_OTHERS_WRITE) !== 0) throw refused(file, 'others can write to it');
    if (size > MAX_BYTES) throw refused(file, `its ${size} bytes are more than ${MAX_BYTES}`);
    return readFileSync(descriptor, 'utf8');
  } finally {
    closeSync(descriptor);
  }
}

function openRegular(file: string): number {
  // O_NONBLOCK: a FIFO must not make us wait for a writer.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  try {
    return openSync(file, flags);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ELOOP') throw refused(file, 'it is a symbolic link', error);
    if (code === 'ENOENT') throw refused(file, 'it does not exist', error);
    throw refused(file, `it cannot be opened (${code ?? 'unknown'})`, error);
  }
}

function refused(file: string, reason: string, cause?: unknown): HostError {
  return new HostError(`Job response file "${file}" cannot be used: ${reason}.`, {
    hint: 'GitLab Runner writes it for each job; look for a full disk or a cleaner of temporary files.',
    cause,
  });
}
