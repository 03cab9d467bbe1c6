/** `nspawn-runner exec`: one job of a local .gitlab-ci.yml, here and without GitLab. */
import { randomInt } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { relative, resolve } from 'node:path';
import { UsageError } from '../errors.ts';
import { originOf } from '../gitlab/job.ts';
import { say, warn } from '../log.ts';
import { jobDirectory } from '../machine/job-directory.ts';
import { machineName } from '../machine/names.ts';
import { readRecord, writeRecord, type MachineRecord } from '../machine/record.ts';
import { requireRoot } from '../root.ts';
import type { JobResult, RunningJob } from '../runner/engine.ts';
import type { StageCall } from '../runner/events.ts';
import type { JobResponse } from '../runner/job.ts';
import { parseCiFile } from '../runner/local/ci-file.ts';
import { readLocalJob, type LocalJob } from '../runner/local/local-job.ts';
import { localResponse } from '../runner/local/local-response.ts';
import { runLocalJob, type LocalRunOptions } from '../runner/local/local-run.ts';
import { parseVariable, type CiVariable } from '../runner/local/local-variables.ts';
import { readRepository } from '../runner/local/repository.ts';
import { terminalSink } from '../runner/local/terminal.ts';
import { loadSettings } from '../settings.ts';
import { toolEnvironment } from '../tools/exec.ts';

export interface ExecArguments {
  readonly job: string;
  readonly file?: string | undefined;
  readonly variable?: readonly string[] | undefined;
  readonly keep?: boolean | undefined;
  readonly settings?: string | undefined;
  readonly debug?: boolean | undefined;
}

const DEFAULT_FILE = '.gitlab-ci.yml';
/** As timeout(1) has it, and as container tools have it for their own failures. */
const EXIT_TIMEOUT = 124;
const EXIT_SYSTEM_FAILURE = 125;
const EXIT_CANCELED = 130;
const EXIT_TERMINATED = 143;

/**
 * Runs the job; the status is the script's own exit code, 124 after the job's timeout, 125 when the
 * machine and not the script failed, 130 when it was cancelled, 143 after SIGTERM or SIGHUP.
 */
export async function exec(args: ExecArguments, signal: AbortSignal): Promise<number> {
  const variables = (args.variable ?? []).map(requireVariable);
  const repository = await readRepository(process.cwd());
  const path = args.file === undefined ? resolve(repository.top, DEFAULT_FILE) : resolve(args.file);
  const ciFile = relative(repository.top, path);
  const job = await readJobOf(path, args, ciFile);
  requireRoot('exec');
  for (const line of job.ignored) warn(`Ignored: ${line}.`);
  // Milliseconds and three digits of chance, for two that begin at once.
  const id = BigInt(Date.now()) * 1000n + BigInt(randomInt(1000));
  const response = localResponse({ id, job, repository, ciFile, variables });
  const recordFile = args.keep === true ? await recordPath(response, args.settings) : undefined;
  // The job's directory goes before artifacts are copied, and the reaper may come in between.
  const onStage = ({ stage }: StageCall): void => {
    if (recordFile !== undefined && stage === 'run') tryToKeep(recordFile);
  };
  const result = await runHere(args, { response, repository, signal, onStage });
  const hasBooted = result.stages.some(({ stage }) => stage === 'run');
  if (recordFile !== undefined && hasBooted) tellKept(recordFile);
  return statusOf(result);
}

async function readJobOf(path: string, args: ExecArguments, shown: string): Promise<LocalJob> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new UsageError(`"${path}" cannot be read.`, {
      details: [(error as Error).message],
      hint: 'Call this in the repository, or name the file with --file.',
      cause: error,
    });
  }
  return readLocalJob(parseCiFile(text, shown), args.job);
}

async function runHere(
  args: ExecArguments,
  job: Pick<LocalRunOptions, 'response' | 'repository' | 'signal' | 'onStage'>,
): Promise<JobResult> {
  const given = process.env['NSPAWN_RUNNER_SETTINGS'];
  let release: () => void = () => undefined;
  try {
    return await runLocalJob({
      program: thisProgram(),
      arguments: [
        ...(args.settings === undefined ? [] : [`--settings=${resolve(args.settings)}`]),
        ...(args.debug === true ? ['--debug'] : []),
      ],
      hostEnv: toolEnvironment(given === undefined ? {} : { NSPAWN_RUNNER_SETTINGS: given }),
      ...{ ...job, say, warn },
      keep: args.keep === true,
      output: terminalSink(process),
      onStarted: (running) => {
        release = stopOnSignals(running, job.signal);
      },
    });
  } finally {
    release();
  }
}

/** First ^C: the script ends, after_script runs. Second: all ends. The machine always goes. */
function stopOnSignals(job: RunningJob, signal: AbortSignal): () => void {
  const stop = (): void => {
    if (signal.reason === 'SIGINT') {
      say('Cancelling the job; once more ends it without after_script.');
      job.cancel();
    } else job.abort('interrupted');
  };
  // main.ts leaves at once on a second SIGINT, and the machine would stay.
  const before = process.listeners('SIGINT');
  const onInterrupt = (name: NodeJS.Signals): void => {
    if (signal.aborted) job.abort();
    else before.forEach((listener) => listener(name));
  };
  process.removeAllListeners('SIGINT').on('SIGINT', onInterrupt);
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  return () => {
    signal.removeEventListener('abort', stop);
    process.off('SIGINT', onInterrupt);
    before.forEach((listener) => process.on('SIGINT', listener));
  };
}

function requireVariable(text: string): CiVariable {
  const variable = parseVariable(text);
  if (variable !== undefined) return variable;
  throw new UsageError(`--variable "${text}": expected NAME=VALUE.`, {
    hint: 'A name has letters, digits and "_" and does not begin with a digit.',
  });
}

/** How the stages are called; a single executable is its own script. */
function thisProgram(): readonly string[] {
  const [node = process.execPath, script] = process.argv;
  if (script === undefined || script === node || script === process.execPath) {
    return [process.execPath];
  }
  return [process.execPath, script];
}

/** Where the record of the job's machine will be; undefined for bad settings: config tells of them. */
async function recordPath(
  response: JobResponse,
  settingsPath: string | undefined,
): Promise<string | undefined> {
  const { repo_url: url } = response.git_info;
  const origin = originOf(url, response.job_info.project_full_path);
  const settings = await loadSettings(settingsPath).catch(() => undefined);
  if (settings === undefined) return undefined;
  return jobDirectory(settings.stateDir, machineName({ origin, id: String(response.id) })).record;
}

/** Or the reaper would take the machine, whose runner we are. Undefined when it is gone. */
function keepMachine(path: string): MachineRecord | undefined {
  const record = readRecord(path);
  if (record === undefined || record.isKept === true) return record;
  const kept = { ...record, isKept: true };
  writeRecord(path, kept);
  return kept;
}

/** Such as with a full disk: the job is not to fail for it, and the next stage tries again. */
function tryToKeep(path: string): void {
  try {
    keepMachine(path);
  } catch {
    return;
  }
}

/** The job's own end is what counts, whether or not its machine could be kept. */
function tellKept(path: string): void {
  let record;
  try {
    record = keepMachine(path);
  } catch (error) {
    warn(`The machine is not kept: ${(error as Error).message}`);
    return;
  }
  if (record === undefined) return;
  const { machine, deadline } = record;
  say(`Machine "${machine}" is kept until ${deadline}: machinectl shell ${machine}`);
  say(`Remove it with: machinectl poweroff ${machine}`);
}

function statusOf(result: JobResult): number {
  switch (result.failureReason) {
    case undefined:
      return 0;
    case 'script_failure':
      return result.exitCode ?? 1;
    case 'runner_system_failure':
      return EXIT_SYSTEM_FAILURE;
    case 'job_execution_timeout':
      return EXIT_TIMEOUT;
    case 'job_canceled':
      return EXIT_CANCELED;
    case 'runner_interrupted':
      return EXIT_TERMINATED;
  }
}
