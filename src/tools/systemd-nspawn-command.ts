/** systemd-nspawn(1) without a boot: one command in a tree that is being made, as root of the tree. */
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { Stopped } from '../errors.ts';
import { runConfined, type ConfinedRun } from './confined.ts';
import { lendToChildren, start } from './exec.ts';
import { bindArgument, type Bind } from './systemd-nspawn.ts';

export interface TreeCommand {
  readonly tree: string;
  /** Names the run below /run/systemd/nspawn; at most 64 lower-case letters, digits and hyphens. */
  readonly machine: string;
  /** Absolute in the tree. */
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly binds?: readonly Bind[];
  /** systemd-nspawn's own options, for images that need some. */
  readonly options?: readonly string[];
  /** False where nothing is fetched. */
  readonly network?: boolean;
}

const KILL_AFTER_MS = 2_000;
const REMAINS = ['propagate', 'unix-export'].map((kind) => join('/run/systemd/nspawn', kind));

/** What every systemd-nspawn of a build gets. */
export const NSPAWN_ENVIRONMENT = {
  // The tree is locked by its builder; a killed nspawn would leave its own lock behind.
  SYSTEMD_NSPAWN_LOCK: '0',
  // /tmp is the tree's and not a tenth of the memory.
  SYSTEMD_NSPAWN_TMPFS_TMP: '0',
};
/** Taken over from ours, which every child gets: a build behind a proxy needs it in the tree too. */
const FORWARDED = ['http_proxy', 'https_proxy', 'no_proxy'];
/**
 * Given by name, with the value in systemd-nspawn's own environment: an address with a password is
 * no argument, which everybody sees in ps(1) and in the error of a step. Only of these is it known
 * that setpriv(1), unshare(1) and systemd-nspawn(1) do not read them; of others, as LD_PRELOAD, PATH
 * or SYSTEMD_LOG_LEVEL, a recipe would act on the host's programs.
 */
const PROXY = /^(?:https?|ftp|all|no)_proxy$/i;

export function treeCommandArguments(command: TreeCommand): string[] {
  const { tree, machine, argv, env = {}, binds = [], options = [], network = true } = command;
  const proxies = FORWARDED.filter((name) => process.env[name] !== undefined && !(name in env));
  return [
    '--quiet',
    `--directory=${tree}`,
    `--machine=${machine}`,
    // Without machined and without a scope: this works where systemd does not run.
    '--register=no',
    '--keep-unit',
    '--settings=no',
    '--link-journal=no',
    // A stub init reaps what the command leaves behind, and ends all of it when the command ends.
    '--as-pid2',
    '--console=pipe',
    '--timezone=off',
    `--resolv-conf=${network ? 'replace-host' : 'off'}`,
    ...(network ? [] : ['--private-network']),
    '--setenv=DEBIAN_FRONTEND=noninteractive',
    '--setenv=LC_ALL=C.UTF-8',
    '--setenv=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    ...proxies.map((name) => `--setenv=${name}`),
    ...Object.entries(env).map(([name, value]) =>
      PROXY.test(name) ? `--setenv=${name}` : `--setenv=${name}=${value}`,
    ),
    ...binds.map(bindArgument),
    ...options,
    '--',
    ...argv,
  ];
}

/** What systemd-nspawn itself needs in its environment for these arguments. */
export function treeCommandEnvironment({
  env = {},
}: Pick<TreeCommand, 'env'>): Record<string, string> {
  const proxies = Object.entries(env).filter(([name]) => PROXY.test(name));
  return { ...Object.fromEntries(proxies), ...NSPAWN_ENVIRONMENT };
}

/** Directories that a killed systemd-nspawn of that name left. */
export function treeCommandRemains(machine: string): readonly string[] {
  return REMAINS.map((path) => join(path, machine)).filter((path) => existsSync(path));
}

/**
 * Runs it to its end.
 * @throws CommandError with the last lines of its output, Stopped when `signal` ended it.
 */
export async function runInTree(command: TreeCommand, how: ConfinedRun): Promise<void> {
  await runConfined('systemd-nspawn', treeCommandArguments(command), {
    ...how,
    env: { ...how.env, ...treeCommandEnvironment(command) },
  });
}

/**
 * Runs it on our terminal, or on our pipes where there is none; returns its exit status.
 * @throws HostError when systemd-nspawn is not there, Stopped when `signal` ended it.
 */
export async function logIn(command: TreeCommand, how: ConfinedRun): Promise<number> {
  const isTerminal = process.stdin.isTTY && process.stdout.isTTY;
  const options = treeCommandArguments(command).filter((option) => option !== '--console=pipe');
  const takeBack = lendToChildren(how.lockFd);
  try {
    const child = await start(
      'setpriv',
      [
        '--pdeathsig=KILL',
        '--',
        'unshare',
        '--mount',
        '--propagation=private',
        '--',
        'systemd-nspawn',
        `--console=${isTerminal ? 'interactive' : 'pipe'}`,
        ...options,
      ],
      {
        stdin: 'inherit',
        stdout: 'inherit',
        stderr: 'inherit',
        env: treeCommandEnvironment(command),
        ownSession: false,
      },
    );
    const release = endOn(how.signal, child.pid);
    const { status, signal } = await child.ended;
    release();
    if (how.signal.aborted) throw new Stopped('The command in the tree was stopped.');
    return status ?? 128 + (signal === undefined ? 0 : constants.signals[signal as NodeJS.Signals]);
  } finally {
    takeBack();
  }
}

/**
 * On TERM systemd-nspawn ends all that is in the tree and gives the terminal back as it was. It has
 * no process group of its own, so it is signaled alone: setpriv(1) and unshare(1) become it.
 */
function endOn(signal: AbortSignal, pid: number): () => void {
  let killTimer: NodeJS.Timeout | undefined;
  const end = (): void => {
    kill(pid, 'SIGTERM');
    killTimer = setTimeout(() => kill(pid, 'SIGKILL'), KILL_AFTER_MS);
  };
  if (signal.aborted) end();
  else signal.addEventListener('abort', end, { once: true });
  return () => {
    clearTimeout(killTimer);
    signal.removeEventListener('abort', end);
  };
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
