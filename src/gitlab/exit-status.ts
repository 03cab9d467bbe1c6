/**
 * GitLab's two verdicts. Any other status of a stage is an "unknown failure" to GitLab Runner, so
 * nothing else ever leaves a stage (docs/executors/custom.md, "Build Failure" and "System Failure").
 */
import { Failure, JobError, UsageError } from '../errors.ts';

const STAGES = new Set(['config', 'gitlab-config', 'prepare', 'run', 'cleanup']);
const EXIT_USAGE = 2;
const EXIT_FAILURE = 1;
/** sysexits(3), EX_SOFTWARE: a bug of ours. */
const EXIT_BUG = 70;

export type StageVerdict = 'build-failure' | 'system-failure';

type Environment = Readonly<Record<string, string | undefined>>;

/** Whether a command is a stage that GitLab Runner calls. */
export function isStage(verb: string | undefined): boolean {
  return verb !== undefined && STAGES.has(verb);
}

/** The number that this GitLab Runner reads as the verdict. */
export function verdictStatus(verdict: StageVerdict, env: Environment): number {
  return verdict === 'build-failure'
    ? codeFrom(env['BUILD_FAILURE_EXIT_CODE'], 1)
    : codeFrom(env['SYSTEM_FAILURE_EXIT_CODE'], 2);
}

/** The exit status for a failure: by verdict in a stage, by who must act elsewhere. */
export function failureStatus(error: unknown, inStage: boolean, env: Environment): number {
  if (inStage) {
    return verdictStatus(error instanceof JobError ? 'build-failure' : 'system-failure', env);
  }
  if (error instanceof UsageError) return EXIT_USAGE;
  return error instanceof Failure ? EXIT_FAILURE : EXIT_BUG;
}

function codeFrom(text: string | undefined, fallback: number): number {
  return text !== undefined && /^[1-9]\d{0,2}$/.test(text) ? Number(text) : fallback;
}
