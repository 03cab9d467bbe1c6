/**
 * A GitLab Runner without GitLab, for tests: src/runner with defaults and with its hands visible.
 *
 *     const job = await runJob({ image: 'debian-12', script: ['echo hi'] });
 *     job.status           'success' | 'failed' | 'canceled' | 'vanished' (the runner was killed)
 *     job.failureReason    'script_failure', 'runner_system_failure', 'job_execution_timeout', …
 *     job.exitCode         what GitLab gets
 *     job.log              the job log; job.operatorLog is what only the Runner's own log gets
 *     job.stages           every driver call: stage, script, attempt, verdict, times, signals
 *     job.names            their names alone: ['config', 'prepare', 'prepare_script', …, 'cleanup']
 *     job.text('build_script', 'stdout')
 *     job.events           everything in order, with times
 *
 * The driver is the built program unless `driver` says otherwise; `driverArgs` go behind each verb
 * (`['--settings=…']`). Things that happen to a job have a moment:
 *
 *     runJob({ script: ['sleep 60'], cancelAt: { stage: 'build_script', afterMs: 500 } })
 *     runJob({ script: ['echo up; sleep 60'], abortAt: { log: /^up$/m } })
 *     runJob({ …, on: [{ at: { stage: 'prepare' }, act: () => killMachine() }] })
 *
 * cancelAt (graceful), abortAt, interruptAt (SIGTERM to the runner), vanishAt (SIGKILL to the
 * runner), killDriverAt (SIGKILL to the driver's group). `startJob` gives the running job instead.
 */
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import {
  startJob as startEngine,
  type JobResult,
  type RunningJob,
  type JobOptions,
} from '../src/runner/engine.ts';
import type { OutputMark, RunnerEvent } from '../src/runner/events.ts';
import type { JobResponse, JobStep, JobVariable } from '../src/runner/job.ts';
import type { Driver } from '../src/runner/job-run.ts';
import type { Timing } from '../src/runner/timing.ts';

export const BUILT_PROGRAM = join(import.meta.dirname, '../dist/nspawn-runner.cjs');

/** Driver stage or script name, from its start; or a line of the job log. */
export type Moment =
  | { readonly stage: string; readonly afterMs?: number; readonly attempt?: number }
  | { readonly log: RegExp; readonly afterMs?: number };

export interface Happening {
  readonly at: Moment;
  readonly act: (job: RunningJob) => unknown;
}

export type VariableValue = string | Omit<JobVariable, 'key'>;

export interface EmulatedJob {
  readonly id?: number | bigint;
  readonly image?: string;
  readonly script?: readonly string[];
  readonly afterScript?: readonly string[];
  /** Steps besides `script`, which run as step_NAME. */
  readonly steps?: readonly JobStep[];
  readonly variables?: Readonly<Record<string, VariableValue>>;
  /** Seconds. */
  readonly timeout?: number;
  /** Fields that replace those of the response. */
  readonly response?: Partial<JobResponse>;
  /** The whole text of the response file, for files that are broken. */
  readonly responseText?: string;
  /** Program and first arguments, in front of the stage's own; the built program by default. */
  readonly program?: readonly string[];
  /** Behind each stage's verb. */
  readonly driverArgs?: readonly string[];
  /** Whole command lines by stage, or undefined for a stage that is not configured. */
  readonly driver?: Driver;
  /** Added to PATH, HOME and LANG. */
  readonly env?: Readonly<Record<string, string>>;
  readonly timing?: Partial<Timing>;
  readonly shell?: string;
  readonly tmpRoot?: string;
  readonly buildsDir?: string;
  readonly cacheDir?: string;
  readonly concurrent?: number;
  readonly serverUrl?: string;
  readonly cancelAt?: Moment;
  readonly abortAt?: Moment;
  readonly interruptAt?: Moment;
  readonly vanishAt?: Moment;
  readonly killDriverAt?: Moment;
  readonly on?: readonly Happening[];
  /** The Runner's output_limit; what comes behind it is counted and dropped. */
  readonly logLimitBytes?: number;
  readonly onOutput?: JobOptions['onOutput'];
}

export interface EmulatedResult extends JobResult {
  readonly log: string;
  readonly operatorLog: string;
  readonly events: readonly RunnerEvent[];
  readonly names: readonly string[];
  /** What a stage or script wrote, over all its attempts. */
  readonly text: (stage: string, stream?: 'stdout' | 'stderr') => string;
}

/** Waits as the Runner's, but short enough for tests. */
const TEST_TIMING: Partial<Timing> = {
  gracefulKillSec: 20,
  forceKillSec: 2,
  abortWaitSec: 30,
  prepareRetrySec: 0.1,
  stageRetrySec: 0.1,
};
const LOG_LIMIT_BYTES = 4 * 1024 * 1024;

/** Runs one job to its end. */
export async function runJob(job: EmulatedJob): Promise<EmulatedResult> {
  return startJob(job).result;
}

export interface StartedJob extends Omit<RunningJob, 'result'> {
  readonly result: Promise<EmulatedResult>;
  readonly log: () => string;
  readonly events: readonly RunnerEvent[];
}

export function startJob(job: EmulatedJob): StartedJob {
  const recorder = makeRecorder(job.logLimitBytes ?? LOG_LIMIT_BYTES);
  const events: RunnerEvent[] = [];
  const watch = makeWatch(happeningsOf(job), () => running, recorder.log);
  const running: RunningJob = startEngine({
    driver: job.driver ?? driverOf(job),
    response: responseOf(job),
    ...(job.responseText === undefined ? {} : { responseText: job.responseText }),
    hostEnv: { PATH: process.env['PATH'] ?? '', HOME: '/root', LANG: 'C.UTF-8', ...job.env },
    runner: { concurrentProjectId: job.concurrent ?? 0, concurrentId: job.concurrent ?? 0 },
    timing: { ...TEST_TIMING, ...job.timing },
    ...(job.shell === undefined ? {} : { shell: job.shell }),
    ...(job.tmpRoot === undefined ? {} : { tmpRoot: job.tmpRoot }),
    ...(job.buildsDir === undefined ? {} : { buildsDir: job.buildsDir }),
    ...(job.cacheDir === undefined ? {} : { cacheDir: job.cacheDir }),
    ...(job.serverUrl === undefined ? {} : { serverUrl: job.serverUrl }),
    onEvent: (event) => {
      events.push(event);
      watch.onEvent(event);
    },
    onOutput: (chunk, mark) => {
      recorder.record(chunk, mark);
      watch.onOutput();
      return job.onOutput?.(chunk, mark);
    },
  });
  const result = running.result.then((ended): EmulatedResult => {
    watch.end();
    return {
      ...ended,
      log: recorder.log(),
      operatorLog: recorder.operatorLog(),
      text: recorder.text,
      events,
      names: ended.stages.map(({ stage, script }) => script ?? stage),
    };
  });
  return { ...running, result, log: recorder.log, events };
}

/** The command lines of a config.toml that names the built program. */
export function driverOf(job: Pick<EmulatedJob, 'program' | 'driverArgs'>): Driver {
  const program = job.program ?? [process.execPath, BUILT_PROGRAM];
  const line = (verb: string): readonly string[] => [...program, verb, ...(job.driverArgs ?? [])];
  return {
    config: line('config'),
    prepare: line('prepare'),
    run: line('run'),
    cleanup: line('cleanup'),
  };
}

/** A job that needs no repository; `response` replaces whole fields. */
export function responseOf(job: EmulatedJob): JobResponse {
  const id = job.id ?? randomInt(1_000_000, 2 ** 31);
  const step = { timeout: 3600, when: 'on_success', allow_failure: false };
  const after = { name: 'after_script', timeout: 3600, when: 'always', allow_failure: true };
  const variables: Record<string, VariableValue> = {
    CI_JOB_ID: String(id),
    CI_PROJECT_ID: '1',
    GIT_STRATEGY: 'none',
    ...job.variables,
  };
  return {
    id,
    token: 'job-token-of-a-test',
    allow_git_fetch: true,
    job_info: {
      name: 'test job',
      stage: 'test',
      project_id: 1,
      project_name: 'project',
      project_full_path: 'group/project',
    },
    git_info: {
      repo_url: 'https://gitlab-ci-token:job-token-of-a-test@gitlab.example.com/group/project.git',
      ref: 'main',
      sha: '0000000000000000000000000000000000000000',
      before_sha: '0000000000000000000000000000000000000000',
      ref_type: 'branch',
      refspecs: [],
      depth: 0,
    },
    runner_info: { timeout: job.timeout ?? 3600 },
    variables: Object.entries(variables).map(([key, value]) =>
      typeof value === 'string' ? { key, value, public: true } : { key, ...value },
    ),
    steps: [
      { name: 'script', script: job.script ?? ['true'], ...step },
      ...(job.steps ?? []),
      ...(job.afterScript === undefined ? [] : [{ ...after, script: job.afterScript }]),
    ],
    ...(job.image === undefined ? {} : { image: { name: job.image } }),
    services: [],
    artifacts: [],
    cache: [],
    credentials: [],
    dependencies: [],
    features: { trace_sections: true, failure_reasons: ['script_failure'] },
    ...job.response,
  };
}

function happeningsOf(job: EmulatedJob): readonly Happening[] {
  const known: readonly [Moment | undefined, Happening['act']][] = [
    [job.cancelAt, (running) => running.cancel()],
    [job.abortAt, (running) => running.abort()],
    [job.interruptAt, (running) => running.abort('interrupted')],
    [job.vanishAt, (running) => running.vanish()],
    [job.killDriverAt, (running) => running.signalDriver('SIGKILL')],
  ];
  const named = known.flatMap(([at, act]) => (at === undefined ? [] : [{ at, act }]));
  return [...named, ...(job.on ?? [])];
}

interface Watch {
  readonly onEvent: (event: RunnerEvent) => void;
  readonly onOutput: () => void;
  readonly end: () => void;
}

/** Each happening happens once. */
function makeWatch(
  happenings: readonly Happening[],
  running: () => RunningJob,
  log: () => string,
): Watch {
  const waiting = new Set(happenings);
  const timers: NodeJS.Timeout[] = [];
  const due = (happening: Happening): void => {
    waiting.delete(happening);
    const act = (): void => void happening.act(running());
    timers.push(setTimeout(act, happening.at.afterMs ?? 0));
  };
  return {
    onEvent: (event) => {
      if (event.type !== 'stage-start') return;
      const { stage, script, attempt } = event.call;
      for (const happening of waiting) {
        const { at } = happening;
        if (!('stage' in at) || at.stage !== (script ?? stage)) continue;
        if (at.attempt === undefined || at.attempt === attempt) due(happening);
      }
    },
    onOutput: () => {
      for (const happening of waiting) {
        if ('log' in happening.at && happening.at.log.test(log())) due(happening);
      }
    },
    end: () => timers.forEach((timer) => clearTimeout(timer)),
  };
}

interface Recorder {
  readonly record: (chunk: Buffer, mark: OutputMark) => void;
  readonly log: () => string;
  readonly operatorLog: () => string;
  readonly text: (stage: string, stream?: 'stdout' | 'stderr') => string;
}

function makeRecorder(limitBytes: number): Recorder {
  const pieces: { readonly chunk: Buffer; readonly mark: OutputMark }[] = [];
  let kept = 0;
  let isFull = false;
  const textOf = (wanted: (mark: OutputMark) => boolean): string =>
    Buffer.concat(pieces.filter(({ mark }) => wanted(mark)).map(({ chunk }) => chunk)).toString();
  const log = (): string => {
    const text = textOf(({ isForOperator }) => !isForOperator);
    return isFull ? `${text}\nJob's log exceeded limit of ${limitBytes} bytes.\n` : text;
  };
  return {
    record: (chunk, mark) => {
      const rest = mark.isForOperator ? chunk.length : limitBytes - kept;
      if (!mark.isForOperator) kept += chunk.length;
      isFull ||= rest < chunk.length;
      if (rest > 0) pieces.push({ chunk: chunk.subarray(0, rest), mark });
    },
    log,
    operatorLog: () => textOf(({ isForOperator }) => isForOperator),
    text: (stage, stream) =>
      textOf(({ call, stream: from }) => {
        const isOfStage = call !== undefined && (call.script ?? call.stage) === stage;
        return isOfStage && (stream === undefined || from === stream);
      }),
  };
}
