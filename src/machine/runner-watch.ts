/**
 * A script whose GitLab Runner was killed runs for nobody, and its stage would keep the job from
 * the reaper for as long as it likes: the stage ends it as if the Runner had asked for that.
 */
import { isAlive } from '../process-identity.ts';
import { findRunner } from '../runner-process.ts';

const POLL_MS = 1_000;

/** Aborts with `signal`, and when the Runner that called this stage is gone; it must be known for that. */
export function orWhenRunnerEnds(signal: AbortSignal, tmpDir: string | undefined): AbortSignal {
  const runner = findRunner(tmpDir);
  if (runner === undefined) return signal;
  const gone = new AbortController();
  const timer = setInterval(() => {
    if (isAlive(runner)) return;
    clearInterval(timer);
    gone.abort('its GitLab Runner is gone');
  }, POLL_MS);
  timer.unref();
  return AbortSignal.any([signal, gone.signal]);
}
