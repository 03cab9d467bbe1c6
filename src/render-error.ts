/** A failure as lines for a person; the only place that formats them. */
import { inspect } from 'node:util';
import { CommandError, Failure, type CommandFacts } from './errors.ts';
import { quoteCommand } from './quote-command.ts';

const MAX_CAUSES = 5;

/** What failed, the facts, what to do: plain text that ends with a newline. */
export function renderError(error: unknown): string {
  return `${failureLines(error).join('\n')}\n`;
}

function failureLines(error: unknown): readonly string[] {
  if (error instanceof AggregateError) {
    const errors: readonly unknown[] = error.errors;
    return [...(error.message === '' ? [] : [error.message]), ...errors.flatMap(failureLines)];
  }
  if (!(error instanceof Failure)) return bugLines(error);
  return [
    error.message,
    ...indent([...facts(error), ...causeLines(error.cause, error, MAX_CAUSES)]),
    ...(error.hint === undefined ? [] : [error.hint]),
  ];
}

function bugLines(error: unknown): readonly string[] {
  const text = error instanceof Error ? (error.stack ?? error.message) : inspect(error);
  const cause = error instanceof Error ? causeLines(error.cause, error, MAX_CAUSES) : [];
  return [text, ...indent(cause), 'This is a bug in nspawn-runner, please report it.'];
}

function facts(error: Failure): readonly string[] {
  return error instanceof CommandError
    ? [...error.details, ...commandLines(error.command)]
    : error.details;
}

function commandLines(command: CommandFacts): readonly string[] {
  const stderr = command.stderrTail.trimEnd();
  return [
    ...(stderr === '' ? [] : stderr.split('\n').map((line) => `| ${line}`)),
    `Command (${ending(command)}): ${quoteCommand(command.argv)}`,
  ];
}

function ending({ exitStatus, signal, timedOutAfterSec, durationMs }: CommandFacts): string {
  const seconds = (durationMs / 1000).toFixed(2);
  if (timedOutAfterSec !== undefined) return `stopped after ${timedOutAfterSec} s`;
  if (signal !== undefined) return `${signal} after ${seconds} s`;
  return `exit status ${exitStatus ?? 'unknown'} after ${seconds} s`;
}

/** The chain below a failure, each link unless the one above already says the same. */
function causeLines(cause: unknown, above: Error, left: number): readonly string[] {
  if (cause === undefined || left === 0) return [];
  if (cause instanceof AggregateError) {
    const errors: readonly unknown[] = cause.errors;
    return errors.flatMap((error) => causeLines(error, above, left - 1));
  }
  const message = cause instanceof Error ? cause.message : inspect(cause);
  const said = [above.message, ...(above instanceof Failure ? above.details : [])];
  return [
    ...(said.some((text) => text.includes(message)) ? [] : [`Cause: ${message}`]),
    ...(cause instanceof Failure ? indent(facts(cause)) : []),
    ...(cause instanceof Error ? causeLines(cause.cause, cause, left - 1) : []),
  ];
}

function indent(lines: readonly string[]): readonly string[] {
  return lines.flatMap((line) => line.split('\n')).map((line) => `  ${line}`);
}
