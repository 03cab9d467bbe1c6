/** A job on its way: what its stages share, and one call of the driver with all that belongs to it. */
import { callDriver, Vanished, type DriverCall } from './driver-call.ts';
import { driverEnvironment } from './driver-environment.ts';
import type { Control } from './control.ts';
import type { DriverConfig } from './driver-config.ts';
import type { DriverStage, OutputSink, RunnerEvent, StageCall, StageRecord } from './events.ts';
import type { JobResponse } from './job.ts';
import type { ReplaceCommands } from './shell/stage-script.ts';
import { readExitCodeFile } from './temp-dir.ts';
import type { Timing } from './timing.ts';
import {
  resolveVariables,
  type Directories,
  type JobStatus,
  type ResolvedVariable,
  type RunnerFacts,
} from './variables.ts';
import { judgeExit, type Verdict } from './verdict.ts';

/** The section `[runners.custom]`: one command line a stage, undefined for one that is not set. */
export type Driver = Readonly<Partial<Record<DriverStage, readonly string[]>>>;

export interface JobSetup {
  readonly driver: Driver;
  readonly response: JobResponse;
  /** What goes to the response file, where that is not `response`. */
  readonly responseText: string;
  readonly hostEnv: Readonly<Record<string, string>>;
  readonly runner: RunnerFacts;
  readonly serverUrl: string;
  readonly buildsDir: string | undefined;
  readonly cacheDir: string | undefined;
  readonly shell: string;
  readonly timing: Timing;
  /** Where the job's directory is made. */
  readonly tmpRoot: string;
  readonly replaceCommands: ReplaceCommands;
  readonly onOutput: OutputSink;
}

export interface JobRun {
  readonly setup: JobSetup;
  readonly control: Control;
  readonly emit: (event: WithoutTime<RunnerEvent>) => void;
  readonly nowMs: () => number;
  readonly stages: StageRecord[];
  tempDir: string | undefined;
  config: DriverConfig;
  directories: Directories | undefined;
  status: JobStatus;
  attempt: number;
  currentPid: number | undefined;
}

type WithoutTime<Event> = Event extends unknown ? Omit<Event, 'atMs'> : never;

export interface StageOptions {
  readonly stage: DriverStage;
  readonly script?: string;
  readonly attempt?: number;
  /** Behind the configured arguments. */
  readonly operands?: readonly string[];
  /** None for cleanup, which nothing interrupts. */
  readonly stop: AbortSignal;
  readonly onStdout?: (chunk: Buffer) => void;
}

/** Calls the driver for one stage; a stage that is not configured succeeds at once. */
export async function runStage(run: JobRun, options: StageOptions): Promise<Verdict> {
  throwIfVanished(run);
  const command = run.setup.driver[options.stage];
  if (command === undefined) return { kind: 'success' };
  const call: StageCall = {
    stage: options.stage,
    script: options.script,
    attempt: options.attempt ?? run.attempt,
  };
  const argv = [...command, ...(options.operands ?? [])];
  const startedMs = run.nowMs();
  const seen: Seen = { pid: undefined, stdoutBytes: 0, stderrBytes: 0, signals: [] };
  const end = await callDriver({
    argv,
    cwd: run.tempDir ?? '/',
    env: stageEnvironment(run),
    stop: options.stop,
    vanish: run.control.vanished,
    gracefulKillSec: run.setup.timing.gracefulKillSec,
    forceKillSec: run.setup.timing.forceKillSec,
    ...watchCall(run, call, seen, options.onStdout),
  });
  // After an abort a late stage may end while cleanup runs.
  if (run.currentPid === seen.pid) run.currentPid = undefined;
  const code = run.tempDir === undefined ? undefined : await readExitCodeFile(run.tempDir);
  const verdict = judgeExit(end, code);
  const record: StageRecord = {
    ...{ ...call, argv, startedMs, endedMs: run.nowMs(), end, verdict },
    ...seen,
  };
  run.stages.push(record);
  run.emit({ type: 'stage-end', record });
  return verdict;
}

interface Seen {
  pid: number | undefined;
  stdoutBytes: number;
  stderrBytes: number;
  readonly signals: string[];
}

function watchCall(
  run: JobRun,
  call: StageCall,
  seen: Seen,
  onStdout: ((chunk: Buffer) => void) | undefined,
): Pick<DriverCall, 'onStarted' | 'onSignal' | 'onOutput'> {
  return {
    onStarted: ({ pid }) => {
      seen.pid = run.currentPid = pid;
      run.emit({ type: 'stage-start', call, pid });
    },
    onSignal: (signal) => {
      seen.signals.push(signal);
      run.emit({ type: 'signal', call, signal });
    },
    onOutput: (stream, chunk) => {
      seen[`${stream}Bytes`] += chunk.length;
      run.emit({ type: 'output', call, stream, bytes: chunk.length });
      if (stream === 'stdout') onStdout?.(chunk);
      const isForOperator =
        call.stage === 'cleanup' || (call.stage === 'config' && stream === 'stdout');
      return run.setup.onOutput(chunk, { stream, call, isForOperator });
    },
  };
}

export function jobVariables(run: JobRun): ReadonlyMap<string, ResolvedVariable> {
  const { response, runner } = run.setup;
  return resolveVariables({ response, runner, directories: run.directories, status: run.status });
}

/** A line of the runner's own in the job log. */
export function say(run: JobRun, text: string): void {
  const mark = { stream: 'runner', call: undefined, isForOperator: false } as const;
  void run.setup.onOutput(Buffer.from(`${text}\n`), mark);
}

/** Waits whatever happens: GitLab Runner's own waits are not interruptible either. */
export async function wait(run: JobRun, sec: number): Promise<void> {
  if (sec <= 0) return;
  run.emit({ type: 'wait', sec });
  await new Promise((resolve) => setTimeout(resolve, sec * 1000));
  throwIfVanished(run);
}

function throwIfVanished(run: JobRun): void {
  if (run.control.vanished.aborted) throw new Vanished('The runner is gone.');
}

function stageEnvironment(run: JobRun): Record<string, string> {
  return driverEnvironment({
    host: run.setup.hostEnv,
    tempDir: run.tempDir,
    hasResponseFile: run.tempDir !== undefined,
    jobEnv: run.config.job_env ?? {},
    variables: jobVariables(run),
    response: run.setup.response,
  });
}
