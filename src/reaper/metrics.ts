/**
 * Counters of the reaper as a file for node_exporter's textfile collector
 * (github.com/prometheus/node_exporter, "Textfile Collector"), which reads every *.prom file of a
 * directory. A counter goes on from what the file said before: no daemon of ours holds it.
 */
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { readOwnFile } from '../own-file.ts';
import { KINDS } from './finding.ts';

const MAX_BYTES = 256 * 1024;
const PREFIX = 'nspawn_runner_reap';
const TOTAL = `${PREFIX}ed_total`;
const LAST_SUCCESS = `${PREFIX}_last_success_timestamp_seconds`;
const RESULTS = ['removed', 'failed'] as const;

export interface KindCounts {
  readonly removed: number;
  readonly kept: number;
  readonly failed: number;
}

export interface ReapRun {
  /** By kind of thing; a kind may be missing. */
  readonly counts: Readonly<Partial<Record<string, KindCounts>>>;
  /** Unix time. */
  readonly startedAtSec: number;
  readonly durationSec: number;
  /** Whether all that was to be removed was. */
  readonly ok: boolean;
}

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];

/**
 * The text after a run; pure. Lines of the previous text that are torn or not ours count for
 * nothing, so a counter may then start anew, which Prometheus takes for a restart.
 */
export function renderMetrics(previous: string | undefined, run: ReapRun): string {
  const before = parseSamples(previous ?? '');
  // A counter that is not there before its first count hides that one from increase() and rate().
  const kinds = [...new Set([...KINDS, ...before.kinds, ...Object.keys(run.counts)])].sort();
  const totals = kinds.flatMap((kind) =>
    RESULTS.map((result): Sample => {
      const counted = before.totals.get(`${kind} ${result}`) ?? 0;
      return [{ kind, result }, counted + (run.counts[kind]?.[result] ?? 0)];
    }),
  );
  const kept = kinds.map((kind): Sample => [{ kind }, run.counts[kind]?.kept ?? 0]);
  const success = run.ok ? run.startedAtSec : before.lastSuccess;
  return [
    family(TOTAL, 'counter', 'Things that the reaper removed, or failed to remove.', totals),
    family(`${PREFIX}_kept`, 'gauge', 'Things that the last run looked at and kept.', kept),
    gauge(
      `${PREFIX}_last_run_timestamp_seconds`,
      'When the last run started, as Unix time.',
      run.startedAtSec,
    ),
    gauge(LAST_SUCCESS, 'When the last run started that removed all that it was to.', success),
    gauge(`${PREFIX}_duration_seconds`, 'How long the last run took.', run.durationSec),
  ].join('');
}

/**
 * Writes the file anew: aside, then renamed, so that a collector never reads half of it. A link in
 * its place is replaced and not followed. Readable by all (0644), as the collector is not root.
 * @returns why it was not written; undefined when it was.
 */
export async function writeMetrics(path: string, run: ReapRun): Promise<string | undefined> {
  // The collector reads *.prom only, so this name must not end in it.
  const aside = join(dirname(path), `.${basename(path)}.new`);
  try {
    const text = renderMetrics(readOwnFile(path, MAX_BYTES), run);
    await rm(aside, { force: true });
    const file = await open(aside, 'wx', 0o644);
    try {
      await file.writeFile(text);
      // The umask of a service that reaps is not for this file.
      await file.chmod(0o644);
    } finally {
      await file.close();
    }
    await rename(aside, path);
    return undefined;
  } catch (error) {
    await rm(aside, { force: true }).catch(() => undefined);
    return `Metrics file "${path}" was not written: ${error instanceof Error ? error.message : String(error)}`;
  }
}

interface Previous {
  readonly kinds: readonly string[];
  /** By `KIND RESULT`. */
  readonly totals: ReadonlyMap<string, number>;
  readonly lastSuccess: number | undefined;
}

const TOTAL_LINE = new RegExp(
  `^${TOTAL}\\{kind="([a-z][a-z-]*)",result="(removed|failed)"\\} (\\d{1,15})$`,
);
const SUCCESS_LINE = new RegExp(`^${LAST_SUCCESS} (\\d{1,12}(?:\\.\\d+)?)$`);

function parseSamples(text: string): Previous {
  const totals = new Map<string, number>();
  const kinds = new Set<string>();
  let lastSuccess: number | undefined;
  // What stands behind the last line feed may be the half of a number.
  for (const line of text.split('\n').slice(0, -1)) {
    const [, kind, result, value] = TOTAL_LINE.exec(line) ?? [];
    if (kind !== undefined && result !== undefined) {
      kinds.add(kind);
      totals.set(`${kind} ${result}`, Number(value));
    }
    const [, success] = SUCCESS_LINE.exec(line) ?? [];
    if (success !== undefined) lastSuccess = Number(success);
  }
  return { kinds: [...kinds], totals, lastSuccess };
}

function gauge(name: string, help: string, value: number | undefined): string {
  return family(name, 'gauge', help, value === undefined ? [] : [[{}, value]]);
}

/** prometheus.io/docs/instrumenting/exposition_formats, "Text-based format". */
function family(
  name: string,
  type: 'counter' | 'gauge',
  help: string,
  samples: readonly Sample[],
): string {
  if (samples.length === 0) return '';
  const lines = samples.map(([labels, value]) => `${name}${renderLabels(labels)} ${value}`);
  return `${[`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines].join('\n')}\n`;
}

function renderLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}
