/** flock(1): a lock that the kernel drops with the last process that holds the open file. */
import { CommandError } from '../errors.ts';
import { start } from './exec.ts';

/** What a killed process started is gone after a moment; who works is not. */
const DEFAULT_WAIT_SEC = 2;
/** flock(1), --conflict-exit-code: its default, which no other failure of it has. */
const CONFLICT = 1;

/**
 * Locks an open file for us and for whoever we hand it to. flock(2) belongs to the open file, not
 * to the process, so it outlives the program that took it. False when someone else has it after
 * `waitSec`.
 */
export async function tryLock(fd: number, waitSec = DEFAULT_WAIT_SEC): Promise<boolean> {
  const args = ['--exclusive', waitSec === 0 ? '--nonblock' : `--timeout=${waitSec}`, '0'];
  const child = await start('flock', args, { stdin: fd, stdout: 'ignore', stderr: 'ignore' });
  const { status, signal } = await child.ended;
  if (status === 0) return true;
  if (status === CONFLICT) return false;
  throw new CommandError(`flock ended with ${String(signal ?? status)}.`, {
    argv: ['flock', ...args],
    exitStatus: status,
    signal,
    timedOutAfterSec: undefined,
    stderrTail: '',
    durationMs: 0,
  });
}
