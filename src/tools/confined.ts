/**
 * Programs that make trees. They mount into them, start daemons and leave both behind when they are
 * killed; here whatever they do goes with them, and they go with us.
 */
import { createInterface } from 'node:readline';
import { CommandError, HostError, Stopped } from '../errors.ts';
import { start, type Started } from './exec.ts';
import { findProgram } from './find-program.ts';

const TAIL_LINES = 12;
/** The first process of a PID namespace gets no signal that it does not catch, pid_namespaces(7). */
const KILL_AFTER_MS = 2_000;

export interface ConfinedRun {
  /** Open file that every process holds as standard input, and with it its locks. */
  readonly lockFd: number;
  /** Every line of both streams. */
  readonly onLine: (line: string) => void;
  readonly signal: AbortSignal;
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * In namespaces of its own a program's mounts go with its last process; and when we die, unshare(1)
 * is killed, with it the first process of the namespace, with it all others.
 */
const CONFINEMENT = [
  '--pdeathsig=KILL',
  '--',
  'unshare',
  '--mount',
  '--propagation=private',
  '--pid',
  '--fork',
  '--kill-child=KILL',
  '--mount-proc',
  '--',
];

/**
 * Runs a program to its end, without a time limit.
 * @throws CommandError with the last lines of its output, HostError when it is not there, Stopped
 *   when `signal` ended it.
 */
export async function runConfined(
  tool: string,
  args: readonly string[],
  how: ConfinedRun,
): Promise<void> {
  if ((await findProgram(tool)) === undefined) throw missingTool(tool);
  const startedAt = performance.now();
  const child = await start('setpriv', [...CONFINEMENT, tool, ...args], {
    stdin: how.lockFd,
    stdout: 'pipe',
    stderr: 'pipe',
    ...(how.env === undefined ? {} : { env: how.env }),
  });
  const tail: string[] = [];
  const read = readLines(child, (line) => {
    how.onLine(line);
    tail.push(line);
    if (tail.length > TAIL_LINES) tail.shift();
  });
  const release = endOn(how.signal, child);
  const { status, signal } = await child.ended;
  release();
  await read;
  if (how.signal.aborted) throw new Stopped(`${tool} was stopped.`);
  if (status === 0) return;
  const sentence =
    signal === undefined
      ? `${tool} ended with exit status ${String(status)}.`
      : `${tool} was killed by ${signal}.`;
  throw new CommandError(sentence, {
    argv: [tool, ...args],
    exitStatus: status,
    signal,
    timedOutAfterSec: undefined,
    stderrTail: tail.join('\n'),
    durationMs: performance.now() - startedAt,
  });
}

/** Packages of Debian that are not called like the program. */
const PACKAGES: Readonly<Record<string, string>> = { 'systemd-nspawn': 'systemd-container' };

function missingTool(tool: string): HostError {
  return new HostError(`"${tool}" is not installed on this host.`, {
    hint: `Install the package "${PACKAGES[tool] ?? tool}".`,
  });
}

/** Resolves when both streams have ended. */
async function readLines(child: Started, onLine: (line: string) => void): Promise<void> {
  const streams = [child.stdout, child.stderr].filter((stream) => stream !== null);
  await Promise.all(
    streams.map(async (input) => {
      for await (const line of createInterface({ input })) onLine(line);
    }),
  );
}

/** On TERM such a program ends its children and unmounts; one that does not is killed. */
function endOn(signal: AbortSignal, child: Started): () => void {
  let killTimer: NodeJS.Timeout | undefined;
  const end = (): void => {
    child.kill('SIGTERM');
    killTimer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
  };
  if (signal.aborted) end();
  else signal.addEventListener('abort', end, { once: true });
  return () => {
    clearTimeout(killTimer);
    signal.removeEventListener('abort', end);
  };
}
