/** What a program writes, as bytes, while it writes it: more than fits into memory. */
import { CommandError, Stopped } from '../errors.ts';
import { start, type Started } from './exec.ts';

const STDERR_TAIL_BYTES = 4096;

/**
 * Standard output to its end. Who stops reading ends the program.
 * @throws CommandError behind the last byte when the program did not end well; Stopped when `signal`
 *   ended it.
 */
export async function* outputBytes(
  tool: string,
  args: readonly string[],
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  const startedAt = performance.now();
  const child = await start(tool, args, { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' });
  const stderr = tailOf(child);
  const stop = (): void => child.kill('SIGTERM');
  signal?.addEventListener('abort', stop, { once: true });
  let isAtEnd = false;
  try {
    for await (const chunk of child.stdout ?? []) {
      yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    }
    isAtEnd = true;
  } finally {
    signal?.removeEventListener('abort', stop);
    if (!isAtEnd) child.kill('SIGKILL');
    await child.ended;
  }
  const { status, signal: killedBy } = await child.ended;
  if (signal?.aborted === true) throw new Stopped(`${tool} was stopped.`);
  if (status === 0) return;
  const how =
    killedBy === undefined
      ? `ended with exit status ${String(status)}`
      : `was killed by ${killedBy}`;
  throw new CommandError(`${tool} ${how}.`, {
    argv: [tool, ...args],
    exitStatus: status,
    signal: killedBy,
    timedOutAfterSec: undefined,
    stderrTail: (await stderr).trim(),
    durationMs: performance.now() - startedAt,
  });
}

async function tailOf(child: Started): Promise<string> {
  let tail = '';
  for await (const chunk of child.stderr ?? []) {
    tail = (tail + chunk.toString()).slice(-STDERR_TAIL_BYTES);
  }
  return tail;
}
