/** journalctl(1): what the host wrote down about a unit. */
import { run } from './exec.ts';

export interface JournalEntry {
  /** When the journal got it, in ms since the epoch. */
  readonly atMs: number;
  readonly message: string;
  /** On the manager's "Main process exited" entry: `exited`, `killed` or `dumped`. */
  readonly exitCode: string | undefined;
  readonly exitStatus: string | undefined;
  /** On the manager's "Failed with result" entry. */
  readonly unitResult: string | undefined;
}

/** The last entries about a unit since `sinceSec` (seconds since the epoch), oldest first. */
export async function unitJournal(
  unit: string,
  options: { readonly lines: number; readonly sinceSec: number },
): Promise<readonly JournalEntry[]> {
  const { stdout } = await run('journalctl', [
    `--unit=${unit}`,
    `--since=@${options.sinceSec}`,
    `--lines=${options.lines}`,
    '--output=json',
    '--output-fields=MESSAGE,EXIT_CODE,EXIT_STATUS,UNIT_RESULT',
    '--no-pager',
    '--quiet',
  ]);
  return parseJournal(stdout);
}

/** Parses `--output=json`: one object a line; a value that is no text (binary, too long) is left out. */
export function parseJournal(text: string): readonly JournalEntry[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const entry = JSON.parse(line) as Record<string, unknown>;
      const field = (name: string): string | undefined => {
        const value = entry[name];
        return typeof value === 'string' ? value : undefined;
      };
      return {
        // systemd.journal-fields(7): microseconds, as text, in every entry.
        atMs: Number(field('__REALTIME_TIMESTAMP') ?? 0) / 1000,
        message: field('MESSAGE') ?? '',
        exitCode: field('EXIT_CODE'),
        exitStatus: field('EXIT_STATUS'),
        unitResult: field('UNIT_RESULT'),
      };
    });
}
