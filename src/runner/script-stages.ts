/** The scripts of a job, in the Runner's order, from prepare_script to cleanup_file_variables. */
import { isStopped, timeLimit, type StopCause } from './control.ts';
import { durationMs } from './duration.ts';
import { stageOfStep, userSteps } from './job.ts';
import { jobVariables, runStage, say, wait, type JobRun } from './job-run.ts';
import {
  endingStages,
  fetchingStages,
  ignoresAfterScriptFailure,
  stageAttempts,
  type Course,
} from './plan.ts';
import { stageTitle } from './job-log.ts';
import type { Shell } from './shell/frame.ts';
import { stageScript } from './shell/stage-script.ts';
import { writeScript } from './temp-dir.ts';
import { stageRetryWaitSec } from './timing.ts';
import { temporaryDirectory } from './variables.ts';
import type { FailedVerdict, Verdict } from './verdict.ts';

/** How a job ended: `cause` is why it was stopped, and then it outranks `failure`. */
export interface Ending {
  readonly failure?: FailedVerdict | undefined;
  readonly cause?: StopCause | undefined;
}

/** @param prepareStop also covers prepare_script. */
export async function runScripts(run: JobRun, prepareStop: AbortSignal): Promise<Ending> {
  const prepared = await runScript(run, 'prepare_script', prepareStop);
  if (isStopped(prepareStop)) return { cause: causeOf(prepareStop) };
  if (prepared.kind !== 'success') {
    return { failure: { ...prepared, message: `prepare environment: ${prepared.message}` } };
  }
  const fetched = await runFetching(run);
  if (fetched.cause !== undefined) return fetched;
  const reachedScript = fetched.failure === undefined;
  const worked = reachedScript ? await runSteps(run) : fetched;
  run.control.enter('after-script');
  if (isStopped(run.control.job)) return { cause: causeOf(run.control.job) };
  if (reachedScript) run.status = statusOf(worked);
  return runEnding(run, worked, reachedScript);
}

async function runFetching(run: JobRun): Promise<Ending> {
  for (const stage of fetchingStages(run.setup.response)) {
    const limitSec = stage === 'get_sources' ? run.setup.timing.getSourcesSec : undefined;
    const limit = timeLimit(limitSec, 'timeout');
    const stop = AbortSignal.any([run.control.job, limit.signal]);
    const verdict = await runAttempts(run, stage, stop);
    limit.release();
    if (isStopped(stop)) return { cause: causeOf(stop) };
    if (verdict.kind !== 'success') return { failure: verdict };
  }
  return {};
}

async function runAttempts(run: JobRun, stage: string, stop: AbortSignal): Promise<Verdict> {
  const attempts = stageAttempts(stage, jobVariables(run));
  for (let attempt = 1; ; attempt += 1) {
    if (attempt === 2 && stage === 'get_sources') {
      await runScript(run, 'clear_worktree', stop);
      if (isStopped(stop)) return { kind: 'system-failure', message: 'stopped' };
    }
    const verdict = await runScript(run, stage, stop, attempt);
    if (verdict.kind === 'success' || attempt >= attempts || isStopped(stop)) return verdict;
    const waitSec = stageRetryWaitSec(attempt + 1, run.setup.timing);
    say(run, `Retrying in ${waitSec}s`);
    await wait(run, waitSec);
    if (isStopped(stop)) return verdict;
  }
}

/** The user's own steps: one time limit for all, the first that fails ends them. */
async function runSteps(run: JobRun): Promise<Ending> {
  run.control.enter('script');
  const text = jobVariables(run).get('RUNNER_SCRIPT_TIMEOUT')?.content ?? '';
  const limitMs = durationMs(text);
  const limit = timeLimit(limitMs === undefined ? undefined : limitMs / 1000, 'timeout');
  const stop = AbortSignal.any([run.control.script, limit.signal]);
  try {
    for (const step of userSteps(run.setup.response)) {
      const verdict = await runScript(run, stageOfStep(step), stop);
      if (isStopped(stop)) return { cause: causeOf(stop) };
      if (verdict.kind !== 'success') return { failure: verdict };
    }
    return {};
  } finally {
    limit.release();
  }
}

async function runEnding(run: JobRun, worked: Ending, reachedScript: boolean): Promise<Ending> {
  const isSuccess = worked.failure === undefined && worked.cause === undefined;
  const course: Course = isSuccess ? 'succeeded' : 'failed';
  let { failure } = worked;
  for (const stage of endingStages(run.setup.response, course, reachedScript)) {
    const verdict = await runEndingStage(run, stage);
    if (isStopped(run.control.job)) return { cause: causeOf(run.control.job) };
    if (verdict.kind === 'success' || stage === 'cleanup_file_variables') continue;
    if (stage !== 'after_script') failure ??= verdict;
    else if (ignoresAfterScriptFailure(jobVariables(run))) {
      say(
        run,
        'WARNING: after_script failed, but job will continue unaffected: ' + verdict.message,
      );
    } else failure ??= verdict;
  }
  return { cause: worked.cause, failure };
}

async function runEndingStage(run: JobRun, stage: string): Promise<Verdict> {
  if (stage !== 'after_script') return runScript(run, stage, run.control.job);
  const text = jobVariables(run).get('RUNNER_AFTER_SCRIPT_TIMEOUT')?.content ?? '';
  const limitMs = durationMs(text) ?? run.setup.timing.afterScriptSec * 1000;
  const limit = timeLimit(limitMs / 1000, 'timeout');
  const stop = AbortSignal.any([run.control.job, limit.signal]);
  const verdict = await runScript(run, stage, stop);
  limit.release();
  return verdict;
}

async function runScript(
  run: JobRun,
  script: string,
  stop: AbortSignal,
  attempt = 1,
): Promise<Verdict> {
  say(run, stageTitle(script));
  let file: string;
  try {
    file = await writeScript(run.tempDir ?? '', scriptText(run, script));
  } catch (error) {
    return { kind: 'system-failure', message: (error as Error).message };
  }
  return runStage(run, { stage: 'run', script, attempt, operands: [file, script], stop });
}

function scriptText(run: JobRun, stage: string): string {
  const { response, serverUrl, replaceCommands } = run.setup;
  const { directories, config } = run;
  if (directories === undefined) throw new TypeError('A script before the config stage.');
  return stageScript(
    stage,
    {
      shell: (config.shell ?? run.setup.shell) as Shell,
      response,
      variables: jobVariables(run),
      directories,
      temporary: temporaryDirectory(directories),
      hostname: config.hostname,
      serverUrl,
    },
    replaceCommands,
  );
}

function statusOf({ failure, cause }: Ending): JobRun['status'] {
  if (cause === 'canceled') return 'canceled';
  if (cause === 'timeout') return 'timedout';
  return failure === undefined && cause === undefined ? 'success' : 'failed';
}

function causeOf(stop: AbortSignal): StopCause {
  return stop.reason as StopCause;
}
