/** Who the job is, from the job response file alone: the job's author can set every variable. */
import { HostError, JobError, UsageError } from '../errors.ts';
import { operatorsTag } from './operators-tag.ts';
import { readResponseFile } from './response-file.ts';
import { parseResponse, type JobResponse } from './response.ts';

const DECIMAL_ID = /^(?:0|[1-9]\d{0,18})$/;
const MAX_TEXT_LENGTH = 200;

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Job {
  /** Decimal text of up to 19 digits: a JavaScript number would round it. */
  readonly id: string;
  /** `host[:port][/relative root]` of the GitLab instance; empty if the job has no repository. */
  readonly origin: string;
  /** Decimal text. */
  readonly projectId: string;
  readonly name: string;
  readonly image: string | undefined;
  readonly timeoutSec: number | undefined;
  /** Value of `_CI_JOB_TAG`. */
  readonly tag: string;
  /** Digits: which of the project's concurrent jobs this is. A variable, so display and caches only. */
  readonly slot: string;
  /** GitLab Runner's directory for this attempt. */
  readonly tmpDir: string | undefined;
  /** The job response file, which holds the job's token. */
  readonly responseFile: string | undefined;
  /** `--runner`, for people. */
  readonly runner: string | undefined;
  /** The job has artifacts, a cache, or dependencies with files; true where that is unknown. */
  readonly wantsRunnerBinary: boolean;
  /** Images of `services:`, for people; empty where that is unknown. */
  readonly services: readonly string[];
}

export interface ReadJobOptions {
  readonly runner?: string | undefined;
  readonly id?: string | undefined;
  readonly trustJobIdVariable: boolean;
  readonly forCleanup?: boolean | undefined;
  /** What GitLab Runner was started with, operators-tag.ts. */
  readonly ofRunner?: (() => readonly string[] | undefined) | undefined;
}

/**
 * Reads the job. Undefined only for cleanup without a usable response file.
 * @throws JobError for a job id that was tampered with, HostError for a file that is not usable.
 */
export function readJob(options: ReadJobOptions, env: Environment = process.env): Job | undefined {
  const file = nonEmpty(env['JOB_RESPONSE_FILE']);
  if (file === undefined) return jobOfVariables(options, env);
  try {
    const text = readResponseFile(file);
    const runnerVersion = plainText(env['CUSTOM_ENV_CI_RUNNER_VERSION'] ?? '') || undefined;
    const response = parseResponse(text, { file, runnerVersion });
    if (options.forCleanup !== true) refuseOtherId(response.id, options, env);
    return jobOfResponse(response, options, env);
  } catch (error) {
    if (options.forCleanup === true && error instanceof HostError) {
      return jobOfVariables(options, env);
    }
    throw error;
  }
}

/** GitLab Runner's directory for this attempt. */
export function jobTmpDir(env: Environment = process.env): string | undefined {
  return nonEmpty(env['TMPDIR']);
}

/**
 * GitLab's host with its port, and the path below which it serves where the URL shows one. Never
 * the user part of the URL: that is the job's token.
 */
export function originOf(repoUrl: string, projectPath: string | undefined): string {
  if (!URL.canParse(repoUrl)) return '';
  const { host, pathname } = new URL(repoUrl);
  const suffix = `/${projectPath ?? ''}.git`;
  const root = host !== '' && pathname.endsWith(suffix) ? pathname.slice(0, -suffix.length) : '';
  return `${host}${root}`.toLowerCase();
}

function jobOfResponse(response: JobResponse, options: ReadJobOptions, env: Environment): Job {
  const { id, projectId, projectPath, repoUrl, image, timeoutSec } = response;
  return {
    id,
    origin: originOf(repoUrl, projectPath),
    projectId,
    name: plainText(response.name),
    image,
    timeoutSec,
    wantsRunnerBinary: response.movesFiles,
    services: response.services.map(plainText),
    ...circumstances({ id, projectId }, options, env),
  };
}

/** For GitLab Runner before 14.1, and for a person who gives the id: all else is the job's word. */
function jobOfVariables(options: ReadJobOptions, env: Environment): Job | undefined {
  const variable = options.trustJobIdVariable ? nonEmpty(env['CUSTOM_ENV_CI_JOB_ID']) : undefined;
  const id = options.id ?? variable;
  const isUsable = id !== undefined && DECIMAL_ID.test(id);
  if (!isUsable && options.forCleanup === true) return undefined;
  if (id === undefined) throw noTrustedId(options.trustJobIdVariable);
  if (!isUsable) {
    const message = `Job id "${plainText(id)}" is not a decimal number of at most 19 digits.`;
    throw options.id === undefined ? new JobError(message) : new UsageError(message);
  }
  const projectId = digits(env['CUSTOM_ENV_CI_PROJECT_ID']);
  return {
    id,
    origin: originOfVariables(env),
    projectId,
    name: plainText(env['CUSTOM_ENV_CI_JOB_NAME'] ?? ''),
    image: nonEmpty(env['CUSTOM_ENV_CI_JOB_IMAGE']),
    timeoutSec: Number(digits(env['CUSTOM_ENV_CI_JOB_TIMEOUT'])) || undefined,
    // Unknown: a needless warning is better than artifacts that vanish without one.
    wantsRunnerBinary: true,
    services: [],
    ...circumstances({ id, projectId }, options, env),
  };
}

function originOfVariables(env: Environment): string {
  const path = nonEmpty(env['CUSTOM_ENV_CI_PROJECT_PATH']);
  const origin = originOf(env['CUSTOM_ENV_CI_REPOSITORY_URL'] ?? '', path);
  if (origin !== '') return origin;
  const host = env['CUSTOM_ENV_CI_SERVER_HOST'] ?? '';
  return /^[A-Za-z0-9.-]{1,253}$/.test(host) ? host.toLowerCase() : '';
}

/** What no response file holds; variables here decide nothing but where a project's own builds are. */
function circumstances(
  { id, projectId }: { readonly id: string; readonly projectId: string },
  { runner, ofRunner }: ReadJobOptions,
  env: Environment,
): Pick<Job, 'tag' | 'slot' | 'tmpDir' | 'responseFile' | 'runner'> {
  const slot = digits(env['CUSTOM_ENV_CI_CONCURRENT_PROJECT_ID']);
  const runnerId = digits(env['CUSTOM_ENV_CI_RUNNER_ID']);
  const tag = operatorsTag(env, ofRunner);
  return {
    tag:
      tag !== undefined && tag === plainText(tag)
        ? tag
        : `runner-${runnerId}-project-${projectId}-concurrent-${slot}-${id}`,
    slot,
    tmpDir: jobTmpDir(env),
    responseFile: nonEmpty(env['JOB_RESPONSE_FILE']),
    runner: nonEmpty(runner),
  };
}

function refuseOtherId(id: string, options: ReadJobOptions, env: Environment): void {
  if (options.id !== undefined && options.id !== id) {
    throw new UsageError(`--id=${plainText(options.id)} is not the id "${id}" of the job.`, {
      hint: 'Leave --id out: GitLab Runner gives the id in its job response file.',
    });
  }
  const variable = nonEmpty(env['CUSTOM_ENV_CI_JOB_ID']);
  if (variable !== undefined && variable !== id) {
    throw new JobError(`Variable CI_JOB_ID is "${plainText(variable)}", but this is job "${id}".`, {
      hint: 'Remove CI_JOB_ID from the variables of the job: GitLab sets it.',
    });
  }
}

function noTrustedId(isVariableTrusted: boolean): HostError {
  return isVariableTrusted
    ? new HostError('GitLab Runner gives neither a job response file nor CI_JOB_ID.', {
        hint: 'Update GitLab Runner to 14.1 or newer.',
      })
    : new HostError(
        'GitLab Runner 14.1 or newer is needed: this one gives no job response file, and without it any job could pass for another.',
        {
          hint: 'Update it, or set `trust_job_id_variable: true` if you trust every author of a job.',
        },
      );
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}

function digits(text: string | undefined): string {
  return text !== undefined && DECIMAL_ID.test(text) ? text : '0';
}

/** One line without control characters, for a terminal and a log. */
function plainText(text: string): string {
  return text.replace(/\p{Cc}/gu, '?').slice(0, MAX_TEXT_LENGTH);
}
