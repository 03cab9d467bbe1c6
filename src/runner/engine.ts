/**
 * GitLab Runner as its driver sees it: which calls a job makes, with what, in which order, and what
 * each end of them means. `nspawn-runner exec` runs a job with it, and so do the tests.
 */
import { tmpdir } from 'node:os';
import { isStopped, makeControl, timeLimit, type StopCause } from './control.ts';
import { Vanished } from './driver-call.ts';
import type { OutputSink, RunnerEvent, StageRecord } from './events.ts';
import { encodeResponse, type JobResponse } from './job.ts';
import { lastLine, PREPARE_TITLE } from './job-log.ts';
import { say, type Driver, type JobRun, type JobSetup } from './job-run.ts';
import { cleanUp, prepareJob } from './prepare-attempts.ts';
import { runScripts, type Ending } from './script-stages.ts';
import type { ReplaceCommands } from './shell/stage-script.ts';
import { jobTimeoutSec, RUNNER_TIMING, type Timing } from './timing.ts';
import type { JobStatus, RunnerFacts } from './variables.ts';

export interface JobOptions {
  readonly driver: Driver;
  readonly response: JobResponse;
  /** The runner's own environment, first in what the driver gets. */
  readonly hostEnv: Readonly<Record<string, string>>;
  readonly onOutput: OutputSink;
  readonly onEvent?: (event: RunnerEvent) => void;
  /** The text of the response file where it is not that of `response`. */
  readonly responseText?: string;
  readonly runner?: Partial<RunnerFacts>;
  readonly serverUrl?: string;
  /** builds_dir and cache_dir of config.toml; the config stage may give its own. */
  readonly buildsDir?: string;
  readonly cacheDir?: string;
  readonly shell?: string;
  readonly timing?: Partial<Timing>;
  readonly tmpRoot?: string;
  readonly replaceCommands?: ReplaceCommands;
}

export type FailureReason =
  | 'script_failure'
  | 'runner_system_failure'
  | 'job_execution_timeout'
  | 'runner_interrupted'
  | 'job_canceled';

export interface JobResult {
  /** `vanished` when the runner itself was killed: GitLab would hear nothing. */
  readonly status: 'success' | 'failed' | 'canceled' | 'vanished';
  readonly failureReason: FailureReason | undefined;
  /** What GitLab gets as the job's exit code; undefined for a job that has none. */
  readonly exitCode: number | undefined;
  /** Why the job failed, in the Runner's words. */
  readonly message: string | undefined;
  /** CI_JOB_STATUS as cleanup saw it. */
  readonly statusVariable: JobStatus;
  readonly stages: readonly StageRecord[];
}

export interface RunningJob {
  readonly result: Promise<JobResult>;
  /** As GitLab's "canceling": the script ends, after_script and the rest run. */
  readonly cancel: () => void;
  /** Everything ends but cleanup. */
  readonly abort: (cause?: StopCause) => void;
  /** The runner is killed: no cleanup, closed pipes, and the driver goes on alone. */
  readonly vanish: () => void;
  /** Signals the process group of the driver call under way; false if there is none. */
  readonly signalDriver: (signal: NodeJS.Signals) => boolean;
}

export function startJob(options: JobOptions): RunningJob {
  const beganAt = performance.now();
  const nowMs = (): number => performance.now() - beganAt;
  const emit: JobRun['emit'] = (event) => options.onEvent?.({ ...event, atMs: nowMs() });
  const control = makeControl((how, cause) => emit({ type: 'stop', how, cause }));
  const run: JobRun = {
    ...{ setup: setupOf(options), control, emit, nowMs },
    stages: [],
    tempDir: undefined,
    config: {},
    directories: undefined,
    status: 'running',
    attempt: 1,
    currentPid: undefined,
  };
  return {
    result: runJob(run),
    cancel: control.cancel,
    abort: (cause = 'canceled') => control.abort(cause),
    vanish: control.vanish,
    signalDriver: (signal) => signalGroup(run.currentPid, signal),
  };
}

async function runJob(run: JobRun): Promise<JobResult> {
  const timeoutSec = jobTimeoutSec(run.setup.response.runner_info.timeout);
  const limit = timeLimit(timeoutSec, 'timeout');
  limit.signal.addEventListener('abort', () => run.control.abort('timeout'));
  try {
    const ending = await prepareAndRun(run);
    limit.release();
    say(run, lastLine(ending, timeoutSec));
    return resultOf(run, ending);
  } catch (error) {
    if (!(error instanceof Vanished)) throw error;
    return {
      ...{ status: 'vanished', failureReason: undefined, exitCode: undefined, message: undefined },
      ...{ statusVariable: run.status, stages: run.stages },
    };
  } finally {
    limit.release();
  }
}

async function prepareAndRun(run: JobRun): Promise<Ending> {
  const limit = timeLimit(run.setup.timing.prepareStageSec, 'timeout');
  const stop = AbortSignal.any([run.control.job, limit.signal]);
  try {
    say(run, PREPARE_TITLE);
    const failure = await prepareJob(run, stop);
    if (failure === undefined) {
      const ending = isStopped(stop)
        ? { cause: stop.reason as StopCause }
        : await scriptsOrAbort(run, stop);
      await cleanUp(run);
      return ending;
    }
    // A driver that says "the job failed" is believed even when the job was stopped.
    const isOver = isStopped(stop) && failure.kind !== 'build-failure';
    return isOver ? { cause: stop.reason as StopCause } : { failure };
  } catch (error) {
    // A bug of ours leaves no machine behind; a runner that is gone cleans nothing up.
    if (!(error instanceof Vanished)) await cleanUp(run);
    throw error;
  } finally {
    limit.release();
  }
}

/** An aborted job waits only so long for the stage that is running, and then cleans up beside it. */
async function scriptsOrAbort(run: JobRun, prepareStop: AbortSignal): Promise<Ending> {
  const scripts = runScripts(run, prepareStop);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Ending>((resolve) => {
    run.control.job.addEventListener('abort', () => {
      timer = setTimeout(() => {
        run.emit({ type: 'abort-wait-over' });
        say(run, 'Timed out waiting for the build to finish');
        resolve({ cause: run.control.causeOf(run.control.job) });
      }, run.setup.timing.abortWaitSec * 1000);
    });
  });
  try {
    return await Promise.race([scripts, late]);
  } finally {
    clearTimeout(timer);
    // What the late stage comes to is of no interest once the job is over.
    scripts.catch(() => undefined);
  }
}

function resultOf(run: JobRun, { failure, cause }: Ending): JobResult {
  const common = { statusVariable: run.status, stages: run.stages };
  if (cause !== undefined) {
    const isCanceled = cause === 'canceled';
    return {
      ...common,
      status: isCanceled ? 'canceled' : 'failed',
      failureReason: REASONS[cause],
      exitCode: undefined,
      message: cause,
    };
  }
  const exitCode =
    failure?.kind === 'build-failure' && failure.exitCode !== 0 ? failure.exitCode : undefined;
  // GitLab makes "canceled" of whatever a job that it was cancelling comes to.
  const status = run.control.isCancelAsked() ? 'canceled' : failure ? 'failed' : 'success';
  const isSystem = failure?.kind === 'system-failure';
  return {
    ...common,
    status,
    failureReason: failure && (isSystem ? 'runner_system_failure' : 'script_failure'),
    exitCode,
    message: failure?.message,
  };
}

const REASONS: Readonly<Record<StopCause, FailureReason>> = {
  canceled: 'job_canceled',
  interrupted: 'runner_interrupted',
  timeout: 'job_execution_timeout',
};

function setupOf(options: JobOptions): JobSetup {
  return {
    driver: options.driver,
    response: options.response,
    responseText: options.responseText ?? encodeResponse(options.response),
    hostEnv: options.hostEnv,
    runner: {
      version: '19.4.0',
      shortToken: options.response.token.slice(0, 9),
      concurrentId: 0,
      concurrentProjectId: 0,
      environment: [],
      ...options.runner,
    },
    serverUrl: options.serverUrl ?? 'https://gitlab.example.com/',
    buildsDir: options.buildsDir,
    cacheDir: options.cacheDir,
    shell: options.shell ?? 'bash',
    timing: { ...RUNNER_TIMING, ...options.timing },
    tmpRoot: options.tmpRoot ?? tmpdir(),
    replaceCommands: options.replaceCommands ?? (() => undefined),
    onOutput: options.onOutput,
  };
}

function signalGroup(pid: number | undefined, signal: NodeJS.Signals): boolean {
  if (pid === undefined) return false;
  try {
    return process.kill(-pid, signal);
  } catch {
    return false;
  }
}
