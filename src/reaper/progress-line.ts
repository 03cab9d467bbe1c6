/** How far a run has come, on a terminal; elsewhere the report says it all. */
import type { Result } from './report.ts';

export interface ProgressLine {
  count(result: Result): void;
  end(): void;
}

export function progressLine(terminal: NodeJS.WriteStream): ProgressLine {
  const counts = new Map<Result, number>();
  if (!terminal.isTTY) return { count: () => undefined, end: () => undefined };
  return {
    count(result) {
      counts.set(result, (counts.get(result) ?? 0) + 1);
      const words = [...counts].map(([word, number]) => `${number} ${word}`);
      terminal.write(`\r\u001b[K${words.join(', ')}`);
    },
    end: () => terminal.write('\r\u001b[K'),
  };
}
