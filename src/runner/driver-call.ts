/**
 * One call of the driver: a process group of its own, stdin /dev/null, a pipe each for stdout and
 * stderr. The call ends when the process has exited and both pipes are at their end, whoever holds
 * them; stopping it is TERM to the group, a wait, KILL to the group, a wait, and giving up.
 */
import { Readable } from 'node:stream';
import { Failure } from '../errors.ts';
import { start, type Started } from '../tools/exec.ts';
import type { DriverEnd } from './verdict.ts';

/** The runner is gone: nothing of it runs on, and what it started is left alone. */
export class Vanished extends Failure {}

export type DriverStream = 'stdout' | 'stderr';

export interface DriverCall {
  /** Program first. */
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly stop: AbortSignal;
  /** Our own death: the pipes are closed, the process is left alone, and the call never ends. */
  readonly vanish: AbortSignal;
  readonly gracefulKillSec: number;
  readonly forceKillSec: number;
  /** A promise holds the stream back until it resolves. */
  readonly onOutput: (stream: DriverStream, chunk: Buffer) => void | Promise<void>;
  readonly onStarted: (started: Started) => void;
  readonly onSignal: (signal: 'SIGTERM' | 'SIGKILL') => void;
}

/**
 * What goes wrong is how the call ended.
 * @throws Vanished when the runner itself is gone.
 */
export async function callDriver(call: DriverCall): Promise<DriverEnd> {
  const [program = '', ...args] = call.argv;
  let child: Started;
  try {
    child = await start(program, args, {
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
      env: call.env,
      exactEnv: true,
      cwd: call.cwd,
    });
  } catch (error) {
    return { kind: 'not-started', reason: startFailure(error) };
  }
  call.onStarted(child);
  const over = new AbortController();
  const finished = Promise.all([
    child.ended,
    follow(child.stdout, (chunk) => call.onOutput('stdout', chunk)),
    follow(child.stderr, (chunk) => call.onOutput('stderr', chunk)),
  ]).then(([end]): DriverEnd => ({ kind: 'exited', ...end }));
  const vanished = aborted(call.vanish, over.signal).then(() => {
    closePipes(child);
    throw new Vanished('The runner is gone.');
  });
  try {
    const end = Promise.race([finished, aborted(call.stop, over.signal).then(() => undefined)]);
    const stopped = end.then((first) => first ?? stopDriver(child, finished, call));
    return await Promise.race([stopped, vanished]);
  } finally {
    over.abort();
  }
}

async function stopDriver(
  child: Started,
  finished: Promise<DriverEnd>,
  call: DriverCall,
): Promise<DriverEnd> {
  for (const [signal, waitSec] of [
    ['SIGTERM', call.gracefulKillSec],
    ['SIGKILL', call.forceKillSec],
  ] as const) {
    call.onSignal(signal);
    child.kill(signal);
    const end = await within(finished, waitSec);
    if (end !== undefined) return end;
  }
  closePipes(child);
  return { kind: 'gave-up', pid: child.pid };
}

/** Resolves at the stream's end, however it comes. */
function follow(
  stream: NodeJS.ReadableStream | null,
  onChunk: (chunk: Buffer) => void | Promise<void>,
): Promise<void> {
  if (stream === null) return Promise.resolve();
  return new Promise((resolve) => {
    stream.on('data', (chunk: Buffer) => {
      const busy = onChunk(chunk);
      if (busy === undefined) return;
      stream.pause();
      void busy.finally(() => stream.resume());
    });
    stream.once('end', resolve);
    stream.once('close', resolve);
    stream.once('error', () => resolve());
  });
}

function closePipes(child: Started): void {
  for (const stream of [child.stdout, child.stderr]) {
    if (stream instanceof Readable) stream.destroy();
  }
}

/** Resolves when `signal` aborts; forgets about it when `over` does. */
function aborted(signal: AbortSignal, over: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true, signal: over });
  });
}

async function within<Value>(promise: Promise<Value>, sec: number): Promise<Value | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), sec * 1000);
  });
  const first = await Promise.race([promise, late]);
  clearTimeout(timer);
  return first;
}

function startFailure(error: unknown): string {
  if (error instanceof Failure) return [error.message, ...error.details].join(' ');
  return error instanceof Error ? error.message : String(error);
}
