/** What a run of the reaper has to say, for scripts and for people. */
import { CommandError, Failure } from '../errors.ts';
import type { Case, Kind } from './finding.ts';

export type Result = 'removed' | 'kept' | 'failed' | 'would-remove';

export interface Outcome {
  readonly case: Case;
  readonly result: Result;
  /** Of a failure: a Failure, a bug, or one clause. */
  readonly error?: unknown;
  /** Why a thing that was to be removed is kept. */
  readonly changed?: string;
}

export interface ReportItem {
  readonly kind: Kind;
  readonly name: string;
  readonly machine: string | null;
  readonly decision: 'remove' | 'keep';
  readonly reason: string;
  readonly proof: readonly string[];
  readonly result: Result;
  readonly error?: string;
}

export interface Counts {
  readonly removed: number;
  readonly kept: number;
  readonly failed: number;
}

/** The shape of `reap --json`. */
export interface Report {
  readonly dryRun: boolean;
  readonly startedAt: string;
  readonly durationSec: number;
  readonly items: readonly ReportItem[];
  /** Only kinds of which there was anything. */
  readonly counts: Readonly<Partial<Record<Kind, Counts>>>;
}

export function reportOf(
  outcomes: readonly Outcome[],
  run: { readonly dryRun: boolean; readonly startedAt: Date; readonly now: Date },
): Report {
  const items = outcomes.flatMap(itemsOf);
  return {
    dryRun: run.dryRun,
    startedAt: run.startedAt.toISOString(),
    durationSec: (run.now.getTime() - run.startedAt.getTime()) / 1000,
    items,
    counts: countsOf(items),
  };
}

function itemsOf(outcome: Outcome): readonly ReportItem[] {
  const { machine, things, verdict } = outcome.case;
  const { result, error, changed } = outcome;
  return things.map(({ kind, name }) => ({
    kind,
    name,
    machine: machine ?? null,
    decision: result === 'kept' ? 'keep' : verdict.decision,
    reason: changed ?? verdict.reason,
    // What has changed speaks against it.
    proof: changed === undefined ? verdict.proof : [],
    result,
    ...(error === undefined ? {} : { error: errorText(error) }),
  }));
}

function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const details = error instanceof Failure ? error.details : [];
  const said = error instanceof CommandError ? error.command.stderrTail.trim() : '';
  return [error.message, ...details, said].filter((part) => part !== '').join(' ');
}

function countsOf(items: readonly ReportItem[]): Report['counts'] {
  const counts: Partial<Record<Kind, Counts>> = {};
  for (const { kind, result } of items) {
    const so = counts[kind] ?? { removed: 0, kept: 0, failed: 0 };
    counts[kind] = result === 'would-remove' ? so : { ...so, [result]: so[result] + 1 };
  }
  return counts;
}

/** Columns for a person, and a last line that sums up; no trailing newline. */
export function renderReport(report: Report): string {
  const rows = report.items.map(({ kind, name, result, reason, proof, error }) => [
    RESULT_WORDS[result],
    kind,
    printable(name),
    printable(error ?? [reason, ...proof].join('; ')),
  ]);
  const widths = [0, 1, 2].map((column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return [...lines, summary(report)].join('\n');
}

/** A job may have named the thing: no control characters, and none that change the direction of text. */
function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ');
}

const RESULT_WORDS: Readonly<Record<Result, string>> = {
  removed: 'removed',
  kept: 'kept',
  failed: 'FAILED',
  'would-remove': 'would remove',
};

function summary({ items, durationSec, dryRun }: Report): string {
  const count = (result: Result): number => items.filter((item) => item.result === result).length;
  const removed = dryRun ? `${count('would-remove')} to remove` : `${count('removed')} removed`;
  return `${removed}, ${count('kept')} kept, ${count('failed')} failed, in ${durationSec.toFixed(1)} s.`;
}
