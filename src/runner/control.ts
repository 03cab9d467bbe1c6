/**
 * What may end a job early. A graceful cancel ends the user's script, or before that the whole job,
 * and changes nothing later; an abort ends everything but cleanup (docs/ci/jobs, "Cancel a job").
 */

/** Why a job, or only its script, was ended. */
export type StopCause = 'canceled' | 'interrupted' | 'timeout';

/** Where a job is, as far as a cancel goes. */
export type Phase = 'before-script' | 'script' | 'after-script';

export interface Control {
  /** Aborts with everything but cleanup. */
  readonly job: AbortSignal;
  /** Aborts with the user's script, and with the job. */
  readonly script: AbortSignal;
  /** The runner was killed. */
  readonly vanished: AbortSignal;
  readonly causeOf: (signal: AbortSignal) => StopCause | undefined;
  readonly isCancelAsked: () => boolean;
  readonly enter: (phase: Phase) => void;
  /** The user's wish, as GitLab passes it on. */
  readonly cancel: () => void;
  readonly abort: (cause: StopCause) => void;
  /** Ends the script alone, as its own timeout does. */
  readonly stopScript: (cause: StopCause) => void;
  readonly vanish: () => void;
}

export function makeControl(onStop: (how: 'cancel' | 'abort', cause: StopCause) => void): Control {
  const job = new AbortController();
  const script = new AbortController();
  const vanished = new AbortController();
  let phase: Phase = 'before-script';
  let isCancelAsked = false;
  const abort = (cause: StopCause): void => {
    if (job.signal.aborted) return;
    onStop('abort', cause);
    job.abort(cause);
    script.abort(cause);
  };
  return {
    job: job.signal,
    script: script.signal,
    vanished: vanished.signal,
    causeOf: (signal) => (signal.aborted ? (signal.reason as StopCause) : undefined),
    isCancelAsked: () => isCancelAsked,
    enter: (next) => {
      phase = next;
    },
    abort,
    cancel: () => {
      if (isCancelAsked) return;
      isCancelAsked = true;
      onStop('cancel', 'canceled');
      if (phase === 'before-script') abort('canceled');
      if (phase === 'script') script.abort('canceled');
    },
    stopScript: (cause) => {
      if (!script.signal.aborted) script.abort(cause);
    },
    vanish: () => vanished.abort(),
  };
}

/** Asked anew each time, where the compiler would take an earlier answer for good. */
export function isStopped(signal: AbortSignal): boolean {
  return signal.aborted;
}

/** A signal that aborts with `cause` after `sec`, and never if that is undefined. */
export function timeLimit(
  sec: number | undefined,
  cause: StopCause,
): { readonly signal: AbortSignal; readonly release: () => void } {
  const controller = new AbortController();
  const timer =
    sec === undefined
      ? undefined
      : setTimeout(() => controller.abort(cause), Math.min(sec * 1000, 2 ** 31 - 1));
  return { signal: controller.signal, release: () => clearTimeout(timer) };
}
