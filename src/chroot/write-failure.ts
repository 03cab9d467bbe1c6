/** What the system says when a file cannot be written: the operator's to mend, and no bug. */
import { Failure, HostError } from '../errors.ts';

const FULL =
  'Remove chroots that nobody uses (nspawn-runner chroot list) or make room, then try again.';
const REFUSED = 'Make its file system writable for root, then try again.';
const HINTS: Readonly<Record<string, string>> = {
  ...{ ENOSPC: FULL, EDQUOT: FULL },
  ...{ EROFS: REFUSED, EACCES: REFUSED, EPERM: REFUSED },
};

/** Whether it is of the kind that a file system gives back for a write. */
function isWriteFailure(error: unknown): error is NodeJS.ErrnoException {
  if (!(error instanceof Error) || error instanceof Failure) return false;
  const { code } = error as NodeJS.ErrnoException;
  return code !== undefined && Object.hasOwn(HINTS, code);
}

/** Whether it cannot come from a read, where both go on. */
export function isSurelyWrite(error: unknown): error is NodeJS.ErrnoException {
  return isWriteFailure(error) && ['ENOSPC', 'EDQUOT', 'EROFS'].includes(error.code ?? '');
}

/** Such an error for people; any other as it is. */
export function writeFailure(error: unknown, path: string): unknown {
  return isWriteFailure(error) ? unwritable(error, path) : error;
}

/** @param path unless the error itself names one. */
export function unwritable(
  error: NodeJS.ErrnoException,
  path: string,
  cause: unknown = error,
): HostError {
  return new HostError(`"${writtenPath(error) ?? path}" cannot be written.`, {
    details: [error.message],
    hint: HINTS[error.code ?? ''] ?? FULL,
    cause,
  });
}

/** Two paths are named where the second one is made of the first, as in copyFile and rename. */
function writtenPath({
  dest,
  path,
}: NodeJS.ErrnoException & { dest?: string }): string | undefined {
  return dest ?? path;
}
