/** Every limit and wait of GitLab Runner, with its own defaults; tests shorten them. */

export interface Timing {
  /** config_exec_timeout, prepare_exec_timeout and cleanup_exec_timeout, seconds. */
  readonly configTimeoutSec: number;
  readonly prepareTimeoutSec: number;
  readonly cleanupTimeoutSec: number;
  /** graceful_kill_timeout: from TERM to KILL. */
  readonly gracefulKillSec: number;
  /** force_kill_timeout: from KILL until the Runner gives up on the process. */
  readonly forceKillSec: number;
  /** How long the Runner waits for the running stage of an aborted job before it cleans up. */
  readonly abortWaitSec: number;
  /** Attempts of config and prepare together, and the wait after each that failed. */
  readonly prepareAttempts: number;
  readonly prepareRetrySec: number;
  /** First and longest wait between attempts of get_sources and the like; it doubles. */
  readonly stageRetrySec: number;
  readonly stageRetryMaxSec: number;
  /** Over all attempts; the job's timeout where it is undefined. */
  readonly prepareStageSec: number | undefined;
  readonly getSourcesSec: number | undefined;
  /** RUNNER_AFTER_SCRIPT_TIMEOUT where the job does not set it. */
  readonly afterScriptSec: number;
}

export const RUNNER_TIMING: Timing = {
  configTimeoutSec: 3600,
  prepareTimeoutSec: 3600,
  cleanupTimeoutSec: 3600,
  gracefulKillSec: 600,
  forceKillSec: 10,
  abortWaitSec: 300,
  prepareAttempts: 3,
  prepareRetrySec: 3,
  stageRetrySec: 5,
  stageRetryMaxSec: 300,
  prepareStageSec: undefined,
  getSourcesSec: undefined,
  afterScriptSec: 300,
};

/** The job's own timeout in seconds; GitLab's 0 is two hours. */
export function jobTimeoutSec(timeout: number): number {
  return timeout > 0 ? timeout : 7200;
}

/** Seconds to wait before attempt `attempt`, counted from 1; the first does not wait. */
export function stageRetryWaitSec(attempt: number, timing: Timing): number {
  if (attempt <= 1) return 0;
  return Math.min(timing.stageRetrySec * 2 ** (attempt - 2), timing.stageRetryMaxSec);
}
