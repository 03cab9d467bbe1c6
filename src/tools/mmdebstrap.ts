/** mmdebstrap(1): makes a Debian tree from nothing. */
import { createInterface } from 'node:readline';
import { CommandError, Stopped } from '../errors.ts';
import { start, type Started } from './exec.ts';

const TAIL_LINES = 12;
const KILL_AFTER_MS = 10_000;

export interface Bootstrap {
  readonly suite: string;
  /** An empty or missing directory. */
  readonly target: string;
  /** deb822, sources.list(5); it becomes part of the tree's own sources. */
  readonly sourcesFile: string;
  readonly packages: readonly string[];
  /** apt.conf(5); they stay in the tree. */
  readonly aptOptions: readonly string[];
}

export interface BootstrapRun {
  /** Open file that every process of mmdebstrap holds as standard input, and with it its locks. */
  readonly lockFd: number;
  /** Private; what mmdebstrap leaves there when it is killed goes with it. */
  readonly tempDir: string;
  readonly onLine: (line: string) => void;
  readonly signal: AbortSignal;
}

export function bootstrapArguments(bootstrap: Bootstrap): string[] {
  return [
    // Maintainer scripts see a chroot with everything mounted, in a mount namespace of its own.
    '--mode=root',
    '--variant=minbase',
    '--format=directory',
    // Lines of apt and dpkg instead of progress bars.
    '--verbose',
    // A build that a power cut ends is begun again, and one that succeeds is synced as a whole.
    '--dpkgopt=force-unsafe-io',
    ...(bootstrap.packages.length === 0 ? [] : [`--include=${bootstrap.packages.join(',')}`]),
    ...bootstrap.aptOptions.map((option) => `--aptopt=${option}`),
    '--',
    bootstrap.suite,
    bootstrap.target,
    bootstrap.sourcesFile,
  ];
}

/**
 * mmdebstrap(1), --mode=root, mounts /proc, /sys and more into the tree, where everyone sees it, and
 * leaves them there when it is killed. In namespaces of its own they go with its last process; and
 * when we die, unshare(1) is killed, with it the first process of the namespace, with it all others.
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
 * Makes the tree.
 * @throws CommandError with the last lines of its output, Stopped when `signal` ended it.
 */
export async function bootstrap(what: Bootstrap, how: BootstrapRun): Promise<void> {
  const args = [...CONFINEMENT, 'mmdebstrap', ...bootstrapArguments(what)];
  const startedAt = performance.now();
  const child = await start('setpriv', args, {
    stdin: how.lockFd,
    stdout: 'pipe',
    stderr: 'pipe',
    env: { TMPDIR: how.tempDir, DEBIAN_FRONTEND: 'noninteractive' },
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
  if (how.signal.aborted) throw new Stopped('mmdebstrap was stopped.');
  if (status === 0) return;
  const sentence =
    signal === undefined
      ? `mmdebstrap ended with exit status ${String(status)}.`
      : `mmdebstrap was killed by ${signal}.`;
  throw new CommandError(sentence, {
    argv: ['setpriv', ...args],
    exitStatus: status,
    signal,
    timedOutAfterSec: undefined,
    stderrTail: tail.join('\n'),
    durationMs: performance.now() - startedAt,
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

/** On TERM mmdebstrap ends its children and unmounts; one that does not is killed. */
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
