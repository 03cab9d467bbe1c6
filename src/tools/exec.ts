/**
 * The one gate to other programs. A child never gets a shell, never inherits our environment, has
 * a session of its own (GitLab Runner signals our whole process group) and, unless its output
 * passes through, a time limit.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { CommandError, HostError, Stopped } from '../errors.ts';
import { debug } from '../log.ts';
import { quoteCommand } from '../quote-command.ts';

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const INHERITED = ['TERM', 'http_proxy', 'https_proxy', 'no_proxy', 'SOURCE_DATE_EPOCH'] as const;
const STDERR_TAIL_LINES = 20;
const DEFAULT_TIMEOUT_SEC = 60;
const MAX_CAPTURE_BYTES = 64 * 1024 * 1024;
const KILL_AFTER_MS = 5_000;

export interface RunOptions {
  /** Text for standard input; without it standard input is /dev/null. */
  readonly stdin?: string;
  /** Exit statuses that are an answer and not a failure; 0 alone unless said otherwise. */
  readonly okStatuses?: readonly number[];
  /** 0 for no limit. */
  readonly timeoutSec?: number;
  readonly signal?: AbortSignal | undefined;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Called with each line of stdout and stderr as it comes; capture goes on. */
  readonly onLine?: (line: string) => void;
}

export interface RunResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly durationMs: number;
}

const lentFds = new Set<number>();
let marks: Readonly<Record<string, string>> = {};

/** Puts variables into the environment of every child from now on, so that whoever finds one knows whose it is. */
export function markChildren(env: Readonly<Record<string, string>>): void {
  marks = env;
}

/**
 * Lets every child hold an open file too, until the returned function is called: a lock on it
 * (flock(2)) is then free only when none of them is left, also where we were killed.
 */
export function lendToChildren(fd: number): () => void {
  lentFds.add(fd);
  return () => lentFds.delete(fd);
}

/** The environment every child gets: built, not inherited, so that output parses the same. */
export function toolEnvironment(
  extra: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const env: Record<string, string> = {
    PATH,
    LC_ALL: 'C.UTF-8',
    HOME: '/root',
    SYSTEMD_COLORS: '0',
    SYSTEMD_PAGER: '',
    SYSTEMD_URLIFY: '0',
  };
  for (const name of INHERITED) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  return { ...env, ...marks, ...extra };
}

/**
 * Runs a program to its end and returns what it said.
 * @throws CommandError for a status that is not in `okStatuses`, a signal or the time limit;
 *   HostError when the program is not there; Stopped when `signal` ended it.
 */
export async function run(
  tool: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const timeoutSec = options.timeoutSec ?? DEFAULT_TIMEOUT_SEC;
  // Imported here: the run stage, a job's most frequent, only starts and never captures.
  const { execa } = await import('execa');
  const startedAt = performance.now();
  const child = execa(tool, [...args], {
    ...(options.stdin === undefined ? {} : { input: options.stdin }),
    // Any open file works; the type knows the numbers 3 to 9.
    stdio: [
      options.stdin === undefined ? 'ignore' : 'pipe',
      'pipe',
      'pipe',
      ...(lentFds as Set<3>),
    ],
    cwd: options.cwd ?? '/',
    env: toolEnvironment(options.env),
    extendEnv: false,
    detached: true,
    cleanup: false,
    reject: false,
    stripFinalNewline: true,
    maxBuffer: MAX_CAPTURE_BYTES,
  });
  if (options.onLine !== undefined) followLines(child, options.onLine);
  const stop = endGroupOn(child, options.signal, timeoutSec);
  const result = await child;
  stop.release();
  const durationMs = performance.now() - startedAt;
  const argv = [tool, ...args];
  debug(
    `${quoteCommand(argv)} → ${String(result.exitCode ?? result.signal)} in ${durationMs.toFixed(0)} ms`,
  );
  if (result.exitCode !== undefined && (options.okStatuses ?? [0]).includes(result.exitCode)) {
    return { status: result.exitCode, stdout: result.stdout, stderr: result.stderr, durationMs };
  }
  if (result.code === 'ENOENT') throw missingTool(tool, result.cause);
  if (options.signal?.aborted === true) throw new Stopped(`${tool} was stopped.`);
  throw new CommandError(
    failureSentence(tool, result.exitCode, result.signal, stop.timedOut() ? timeoutSec : undefined),
    {
      argv,
      exitStatus: result.exitCode,
      signal: result.signal,
      timedOutAfterSec: stop.timedOut() ? timeoutSec : undefined,
      stderrTail: result.stderr.split('\n').slice(-STDERR_TAIL_LINES).join('\n'),
      durationMs,
    },
    { cause: result.cause },
  );
}

/** Where a child's stream comes from or goes to: nowhere, to us, to an open file, or to ours. */
export type ChildStream = 'ignore' | 'pipe' | 'inherit' | number;

export interface StartOptions {
  readonly stdin: ChildStream;
  readonly stdout: ChildStream;
  readonly stderr: ChildStream;
  /** The whole environment when `exactEnv`, else added to the tool's one. */
  readonly env?: Readonly<Record<string, string>>;
  readonly exactEnv?: boolean;
  readonly cwd?: string;
  /** False where a person types at the child's terminal. */
  readonly ownSession?: boolean;
}

export interface Started {
  readonly pid: number;
  readonly stdout: NodeJS.ReadableStream | null;
  readonly stderr: NodeJS.ReadableStream | null;
  /** Resolves when the process has ended; its pipes may still be held by others. */
  readonly ended: Promise<{
    readonly status: number | undefined;
    readonly signal: string | undefined;
  }>;
  /** Signals the child's process group; a child that is gone is no failure. */
  kill(signal: NodeJS.Signals): void;
}

/**
 * Starts a program whose streams the caller handles: he reads them in the same turn of the event
 * loop that he gets them in, or Node throws away what is unread when the program ends.
 * @throws HostError when the program is not there.
 */
export async function start(
  tool: string,
  args: readonly string[],
  options: StartOptions,
): Promise<Started> {
  const child = spawn(tool, args, {
    stdio: [options.stdin, options.stdout, options.stderr, ...lentFds],
    cwd: options.cwd ?? '/',
    env: options.exactEnv === true ? { ...options.env } : toolEnvironment(options.env),
    detached: options.ownSession !== false,
  });
  const refused = new Promise<NodeJS.ErrnoException>((resolve) => child.once('error', resolve));
  debug(`${quoteCommand([tool, ...args])} started`);
  const { pid } = child;
  if (pid === undefined) {
    const error = await refused;
    if (error.code === 'ENOENT') throw missingTool(tool, error);
    throw new HostError(`"${tool}" could not be started.`, {
      details: [error.message],
      cause: error,
    });
  }
  const ended = new Promise<Awaited<Started['ended']>>((resolve) => {
    child.once('exit', (status, signal) => {
      resolve({ status: status ?? undefined, signal: signal ?? undefined });
    });
  });
  return { pid, stdout: child.stdout, stderr: child.stderr, ended, kill: (s) => killGroup(pid, s) };
}

function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

interface Child {
  readonly pid?: number | undefined;
  readonly stdout: NodeJS.ReadableStream | null;
  readonly stderr: NodeJS.ReadableStream | null;
}

function endGroupOn(
  child: Child,
  signal: AbortSignal | undefined,
  timeoutSec: number,
): { release: () => void; timedOut: () => boolean } {
  let timedOut = false;
  let killTimer: NodeJS.Timeout | undefined;
  const end = (): void => {
    if (child.pid === undefined) return;
    const { pid } = child;
    killGroup(pid, 'SIGTERM');
    killTimer = setTimeout(() => killGroup(pid, 'SIGKILL'), KILL_AFTER_MS);
  };
  const timer =
    timeoutSec === 0
      ? undefined
      : setTimeout(() => {
          timedOut = true;
          end();
        }, timeoutSec * 1000);
  if (signal?.aborted === true) end();
  else signal?.addEventListener('abort', end, { once: true });
  return {
    release: () => {
      clearTimeout(timer);
      clearTimeout(killTimer);
      signal?.removeEventListener('abort', end);
    },
    timedOut: () => timedOut,
  };
}

function followLines(child: Child, onLine: (line: string) => void): void {
  for (const stream of [child.stdout, child.stderr]) {
    let rest = '';
    stream?.on('data', (chunk: Buffer | string) => {
      const lines = (rest + chunk.toString()).split(/\r?\n|\r/);
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(line);
    });
    stream?.on('end', () => {
      if (rest !== '') onLine(rest);
    });
  }
}

function missingTool(tool: string, cause: unknown): HostError {
  return new HostError(`"${tool}" is not installed on this host.`, {
    hint: 'Install the package that holds it; `nspawn-runner check` lists what is missing.',
    cause,
  });
}

function failureSentence(
  tool: string,
  exitStatus: number | undefined,
  signal: string | undefined,
  timedOutAfterSec: number | undefined,
): string {
  if (timedOutAfterSec !== undefined) return `${tool} did not end within ${timedOutAfterSec} s.`;
  if (signal !== undefined) {
    const number = constants.signals[signal as NodeJS.Signals];
    return `${tool} was killed by ${signal} (${number}).`;
  }
  return `${tool} ended with exit status ${String(exitStatus)}.`;
}
