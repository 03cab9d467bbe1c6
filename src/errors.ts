/**
 * The class of a failure says who must act; render-error.ts gives it a form and main.ts an exit
 * status. A script that fails is not an error, see machine/outcome.ts.
 */
export interface FailureParts {
  /** Facts, one a line. */
  readonly details?: readonly string[];
  /** The one thing to do next. */
  readonly hint?: string;
  readonly cause?: unknown;
}

export class Failure extends Error {
  readonly details: readonly string[];
  readonly hint: string | undefined;

  constructor(message: string, parts: FailureParts = {}) {
    super(message, parts.cause === undefined ? undefined : { cause: parts.cause });
    this.name = new.target.name;
    this.details = parts.details ?? [];
    this.hint = parts.hint;
  }
}

/** The person at the keyboard must act. */
export class UsageError extends Failure {}

/** The job's author must act: GitLab gets a build failure and does not retry. */
export class JobError extends Failure {}

/** The operator or the recipe's author must act: a file says something it may not. */
export class SettingsError extends Failure {}

/** The operator must act: the host lacks something or a name is taken. */
export class HostError extends Failure {}

/** We were told to stop (SIGTERM and the like) and did. */
export class Stopped extends Failure {}

export interface CommandFacts {
  readonly argv: readonly string[];
  readonly exitStatus: number | undefined;
  readonly signal: string | undefined;
  readonly timedOutAfterSec: number | undefined;
  /** The last lines of stderr. */
  readonly stderrTail: string;
  readonly durationMs: number;
}

/** An external program failed where it should not. */
export class CommandError extends Failure {
  readonly command: CommandFacts;

  constructor(message: string, command: CommandFacts, parts: FailureParts = {}) {
    super(message, parts);
    this.command = command;
  }
}
