/** Ending processes that are not ours to wait for. */
import { setTimeout as sleep } from 'node:timers/promises';
import { readStat, type ProcessIdentity } from './process-identity.ts';

const TERM_WAIT_MS = 5_000;
const KILL_WAIT_MS = 5_000;
const POLL_MS = 20;

export type Victim = Pick<ProcessIdentity, 'pid' | 'startTime'>;

/**
 * Ends processes: TERM, a bounded wait, KILL, and proof. Each is looked at again right before each
 * signal, so that a number that has passed to another process is left alone.
 * @returns those that are still there.
 */
export async function endProcesses<T extends Victim>(
  victims: readonly T[],
  waits = { termMs: TERM_WAIT_MS, killMs: KILL_WAIT_MS },
): Promise<readonly T[]> {
  let left = signalAll(victims, 'SIGTERM');
  left = await waitForEnd(left, waits.termMs);
  left = signalAll(left, 'SIGKILL');
  return waitForEnd(left, waits.killMs);
}

function signalAll<T extends Victim>(victims: readonly T[], signal: NodeJS.Signals): readonly T[] {
  return victims.filter((victim) => {
    if (!isStill(victim)) return false;
    try {
      process.kill(victim.pid, signal);
    } catch (error) {
      // One that may not be signalled is found to be still there, and the others have their turn.
      return (error as NodeJS.ErrnoException).code !== 'ESRCH';
    }
    return true;
  });
}

async function waitForEnd<T extends Victim>(
  victims: readonly T[],
  timeoutMs: number,
): Promise<readonly T[]> {
  const end = performance.now() + timeoutMs;
  let left = victims.filter(isStill);
  while (left.length > 0 && performance.now() < end) {
    await sleep(POLL_MS);
    left = left.filter(isStill);
  }
  return left;
}

function isStill({ pid, startTime }: Victim): boolean {
  const stat = readStat(pid);
  return stat?.startTime === startTime && !stat.isDead;
}
