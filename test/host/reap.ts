/** `nspawn-runner reap` of the built program, on the host under test. */
import { execa } from 'execa';
import { existsSync } from 'node:fs';
import { BUNDLE } from './driver.ts';

export interface ReapItem {
  readonly kind: string;
  readonly name: string;
  readonly machine: string | null;
  readonly decision: 'remove' | 'keep';
  readonly reason: string;
  readonly proof: readonly string[];
  readonly result: 'removed' | 'kept' | 'failed' | 'would-remove';
  readonly error?: string;
}

export interface ReapReport {
  readonly dryRun: boolean;
  readonly startedAt: string;
  readonly durationSec: number;
  readonly items: readonly ReapItem[];
  readonly counts: Readonly<
    Record<string, { readonly removed: number; readonly kept: number; readonly failed: number }>
  >;
}

export interface Reaped {
  readonly status: number;
  readonly report: ReapReport;
  readonly stderr: string;
  readonly durationMs: number;
  /** Items that have to do with one of these names. */
  readonly about: (...names: readonly string[]) => readonly ReapItem[];
}

export interface ReapCall {
  readonly dryRun?: boolean;
  readonly args?: readonly string[];
  /** Nothing of the test's own environment is handed on. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs one reap to its end; a status that is neither 0 nor 1, or output that is no report, throws. */
export async function reap({
  dryRun = false,
  args = [],
  env = {},
}: ReapCall = {}): Promise<Reaped> {
  const startedAt = performance.now();
  const argv = [BUNDLE, 'reap', '--json', ...(dryRun ? ['--dry-run'] : []), ...args];
  const { exitCode, stdout, stderr } = await execa(process.execPath, argv, {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    extendEnv: false,
    cwd: '/',
    stdin: 'ignore',
    reject: false,
  });
  if (exitCode !== 0 && exitCode !== 1) throw new Error(`reap ended with ${exitCode}: ${stderr}`);
  const report = parseReport(stdout, stderr);
  return {
    status: exitCode,
    report,
    stderr,
    durationMs: performance.now() - startedAt,
    about: (...names) =>
      report.items.filter(({ name, machine }) =>
        names.some((wanted) => name.includes(wanted) || machine === wanted),
      ),
  };
}

/** What the timer does: its service where it is installed, else what that would run. */
export async function timerRun(): Promise<void> {
  const unit = 'nspawn-runner-reap.service';
  if (
    ['/etc', '/usr/local/lib', '/usr/lib'].some((at) => existsSync(`${at}/systemd/system/${unit}`))
  )
    await execa('systemctl', ['start', unit]);
  else await reap();
}

/** One line an item, for the message of a test that fails. */
export function explain(items: readonly ReapItem[]): string {
  return items
    .map(
      ({ kind, name, result, reason, proof, error }) =>
        `${kind} ${name}: ${result}, ${reason} (${proof.join('; ')})${error === undefined ? '' : `: ${error}`}`,
    )
    .join('\n');
}

function parseReport(stdout: string, stderr: string): ReapReport {
  try {
    return JSON.parse(stdout) as ReapReport;
  } catch (error) {
    throw new Error(`reap wrote no report: ${stdout}\n${stderr}`, { cause: error });
  }
}
