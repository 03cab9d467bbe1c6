/** Removes what jobs left whose owners are dead. The timer calls it, and a person may. */
import { warn } from '../log.ts';
import { findVmPlaces } from '../machine/vm-places.ts';
import { writeMetrics } from '../reaper/metrics.ts';
import { reap as reapHost } from '../reaper/reap.ts';
import { renderReport, type Outcome, type Report } from '../reaper/report.ts';
import { requireRoot } from '../root.ts';
import { loadSettings } from '../settings.ts';
import { progressLine } from '../reaper/progress-line.ts';

export interface ReapArguments {
  readonly settings?: string | undefined;
  readonly 'dry-run'?: boolean | undefined;
  readonly json?: boolean | undefined;
}

/** 0 when all that was to go is gone, else 1. */
export async function reap(args: ReapArguments, signal: AbortSignal): Promise<number> {
  requireRoot('reap');
  const settings = await loadSettings(args.settings);
  const { stateDir, askGitlab, metricsFile } = settings;
  const dryRun = args['dry-run'] === true;
  const progress = progressLine(process.stderr);
  const report = await reapHost({
    ...{ stateDir, askGitlab, dryRun, signal },
    virtualMachines: await findVmPlaces(settings),
    onOutcome: (outcome: Outcome) => progress.count(outcome.result),
  });
  progress.end();
  process.stdout.write(`${args.json === true ? JSON.stringify(report) : renderReport(report)}\n`);
  if (!dryRun && metricsFile !== undefined) await tellMetrics(metricsFile, report);
  return report.items.some(({ result }) => result === 'failed') ? 1 : 0;
}

async function tellMetrics(path: string, report: Report): Promise<void> {
  const trouble = await writeMetrics(path, {
    counts: report.counts,
    startedAtSec: Date.parse(report.startedAt) / 1000,
    durationSec: report.durationSec,
    ok: report.items.every(({ result }) => result !== 'failed'),
  });
  if (trouble !== undefined) warn(trouble);
}
