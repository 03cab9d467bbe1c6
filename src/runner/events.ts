/** What a job's runner sees and does, in order: tests read it, and exec draws the job log from it. */
import type { StopCause } from './control.ts';
import type { DriverEnd, Verdict } from './verdict.ts';

export type DriverStage = 'config' | 'prepare' | 'run' | 'cleanup';

/** One call of the driver. */
export interface StageCall {
  readonly stage: DriverStage;
  /** Name of the script for `run`: `get_sources` and so on. */
  readonly script: string | undefined;
  /** From 1; of the whole preparation for config, prepare and their cleanup. */
  readonly attempt: number;
}

/** A call that is over. */
export interface StageRecord extends StageCall {
  readonly argv: readonly string[];
  readonly pid: number | undefined;
  /** Milliseconds since the job began. */
  readonly startedMs: number;
  readonly endedMs: number;
  readonly end: DriverEnd;
  readonly verdict: Verdict;
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
  /** Signals that the runner sent to the driver's group. */
  readonly signals: readonly string[];
}

export type RunnerEvent = { readonly atMs: number } & (
  | { readonly type: 'temp-dir'; readonly path: string }
  | { readonly type: 'stage-start'; readonly call: StageCall; readonly pid: number }
  | {
      readonly type: 'output';
      readonly call: StageCall;
      readonly stream: 'stdout' | 'stderr';
      readonly bytes: number;
    }
  | { readonly type: 'signal'; readonly call: StageCall; readonly signal: string }
  | { readonly type: 'stage-end'; readonly record: StageRecord }
  | { readonly type: 'wait'; readonly sec: number }
  | { readonly type: 'stop'; readonly how: 'cancel' | 'abort'; readonly cause: StopCause }
  /** The running stage outlived an abort; cleanup begins beside it. */
  | { readonly type: 'abort-wait-over' }
  | { readonly type: 'temp-dir-removed'; readonly path: string }
);

/** Where a piece of output comes from; `runner` is a line of the runner itself. */
export interface OutputMark {
  readonly stream: 'stdout' | 'stderr' | 'runner';
  /** Undefined for the runner's own lines. */
  readonly call: StageCall | undefined;
  /** The Runner's own log instead of the job's: config's stdout and all that cleanup says. */
  readonly isForOperator: boolean;
}

/** A promise holds the driver's stream back until it resolves. */
export type OutputSink = (chunk: Buffer, mark: OutputMark) => void | Promise<void>;
