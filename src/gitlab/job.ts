/** Who the job is, from the job response file alone: the job's author can set every variable. */
import { HostError } from '../errors.ts';

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
  /** `--runner`, for people. */
  readonly runner: string | undefined;
  /** The job has artifacts, a cache, or dependencies with files. */
  readonly wantsRunnerBinary: boolean;
}

export interface ReadJobOptions {
  readonly runner?: string | undefined;
  readonly id?: string | undefined;
  readonly trustJobIdVariable: boolean;
  readonly forCleanup?: boolean | undefined;
}

/**
 * Reads the job. Undefined only for cleanup without a usable response file.
 * @throws JobError for a job id that was tampered with, HostError for a file that is not usable.
 */
export function readJob(
  options: ReadJobOptions,
  env: Environment = process.env,
): Promise<Job | undefined> {
  return Promise.reject(
    new HostError(`Job "${options.id ?? env['TMPDIR'] ?? ''}" cannot be read yet.`),
  );
}

/** GitLab Runner's directory for this attempt; empty counts as absent. */
export function jobTmpDir(env: Environment = process.env): string | undefined {
  return env['TMPDIR'] === '' ? undefined : env['TMPDIR'];
}
