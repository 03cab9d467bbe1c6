/** Boots a job's machine: one transient unit that owns all of it, ready when its init says so. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandError, HostError } from '../errors.ts';
import type { Limits } from '../settings.ts';
import { unitJournal } from '../tools/journalctl.ts';
import { nspawnArguments, type Bind } from '../tools/systemd-nspawn.ts';
import { showUnit } from '../tools/systemctl.ts';
import { startUnit, type TransientUnit } from '../tools/systemd-run.ts';
import { trashDirectory, type JobDirectory } from './job-directory.ts';
import type { MachineBase } from './machine-base.ts';
import { bundledFile, FRAME_IN_MACHINE } from './machine-files.ts';
import { SLICE, unitName } from './names.ts';
import { isolation, nestedStorage } from './profile.ts';
import { sweepCommand } from './trash.ts';

const CONSOLE_TAIL_BYTES = 4096;
const CONSOLE_TAIL_LINES = 15;
/** Time for ExecStopPost=; the machine itself is powered off or killed before. */
const STOP_TIMEOUT_SEC = 10;

/** In the unit's environment: a reaper with other settings must not take the machine for lost. */
const STATE_DIR_OF_UNIT = 'NSPAWN_RUNNER_STATE_DIR';

export interface MachineBoot {
  readonly machine: string;
  readonly description: string;
  readonly stateDir: string;
  readonly directory: JobDirectory;
  readonly base: MachineBase;
  /** Besides those of the recipe. */
  readonly binds: readonly Bind[];
  /** For all processes of the machine, and for what boots it. */
  readonly env: Readonly<Record<string, string>>;
  /** After so long PID 1 ends the machine, whoever forgot it. */
  readonly runtimeMaxSec: number;
  /** A name in the trash that this attempt alone has. */
  readonly trashItem: string;
}

/**
 * Boots and returns the seconds it took.
 * @throws HostError with the last words of console and journal; Stopped when `signal` ended it.
 */
export async function bootMachine(boot: MachineBoot, signal: AbortSignal): Promise<number> {
  const { bootTimeoutSec } = boot.base;
  const startedSec = Math.floor(Date.now() / 1000);
  // Held open, because the directory goes to the trash with a unit that failed.
  const console = await open(boot.directory.console, 'wx+', 0o600);
  try {
    const { durationMs } = await startUnit(machineUnit(boot), {
      timeoutSec: bootTimeoutSec + 2 * STOP_TIMEOUT_SEC,
      signal,
      env: boot.env,
    });
    return durationMs / 1000;
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    const journal = await unitJournal(unitName(boot.machine), { lines: 8, sinceSec: startedSec });
    const words = await consoleTail(console);
    throw new HostError(`Machine "${boot.machine}" did not become ready.`, {
      details: [
        `It had ${bootTimeoutSec} s (boot_timeout).`,
        ...lastLines(error.command.stderrTail, CONSOLE_TAIL_LINES),
        ...section(
          'Its unit',
          journal.map(({ message }) => message),
        ),
        ...section('Its console', words),
      ],
      ...bootHint(words),
      cause: error,
    });
  } finally {
    await console.close();
  }
}

/** What an init says that has no inotify instance left; it then freezes instead of failing. */
function bootHint(words: readonly string[]): { hint?: string } {
  return words.some((line) => line.includes('Too many open files'))
    ? {
        hint: 'Too many machines for this host: raise fs.inotify.max_user_instances, see `nspawn-runner check`.',
      }
    : {};
}

/** The state directory that a machine's unit was started for; undefined where the unit does not say. */
export async function stateDirOfUnit(machine: string): Promise<string | undefined> {
  const { Environment: environment = '' } = await showUnit(unitName(machine), ['Environment']);
  const words = environment.split(' ').filter((word) => word.startsWith(`${STATE_DIR_OF_UNIT}=`));
  return words[0]?.slice(STATE_DIR_OF_UNIT.length + 1);
}

/** The unit that owns the job, design: docs/internals.md. */
export function machineUnit(boot: MachineBoot): TransientUnit {
  const { base, directory, stateDir, machine, trashItem } = boot;
  const stopPost = (...command: string[]): `ExecStopPost=${string}` =>
    `ExecStopPost=-${command.join(' ')}`;
  return {
    unit: unitName(machine),
    description: boot.description,
    slice: SLICE,
    serviceType: 'notify',
    properties: [
      'Delegate=yes',
      'KillMode=mixed',
      'PrivateMounts=yes',
      'OOMPolicy=continue',
      // The supervisor is in the job's memory limit and must not be the first to be killed for it.
      'OOMScoreAdjust=-500',
      `TimeoutStartSec=${base.bootTimeoutSec}`,
      `TimeoutStopSec=${STOP_TIMEOUT_SEC}`,
      `RuntimeMaxSec=${boot.runtimeMaxSec}`,
      ...limitProperties(base.limits),
      // The device policy of systemd-nspawn@.service, without its loop and mapper devices.
      'DevicePolicy=closed',
      'DeviceAllow=/dev/net/tun rwm',
      'DeviceAllow=/dev/fuse rwm',
      'DeviceAllow=char-pts rw',
      stopPost(
        '/bin/mv',
        '--no-target-directory',
        '--',
        directory.path,
        join(trashDirectory(stateDir), trashItem),
      ),
      stopPost(
        '/bin/rm',
        '--recursive',
        '--force',
        '--one-file-system',
        '--',
        ...nspawnLeftovers(machine),
      ),
      stopPost(...sweepCommand(stateDir, trashItem).map(quoteForUnit)),
    ],
    env: {
      // The merged tree is this machine's alone; a lock would only be left behind by a killed nspawn.
      SYSTEMD_NSPAWN_LOCK: '0',
      // /tmp is the overlay and not a tenth of the memory.
      SYSTEMD_NSPAWN_TMPFS_TMP: '0',
      // docs/ENVIRONMENT.md of systemd.
      ...(base.seccomp ? {} : { SYSTEMD_SECCOMP: '0' }),
      [STATE_DIR_OF_UNIT]: stateDir,
      ...boot.env,
    },
    argv: [
      '/bin/sh',
      bundledFile('boot.sh'),
      base.chroot.path,
      directory.path,
      ...nspawnArguments({
        machine,
        env: boot.env,
        binds: [
          { source: bundledFile('frame.sh'), target: FRAME_IN_MACHINE, readOnly: true },
          ...nestedStorage(base, directory),
          ...boot.binds,
          ...base.binds,
        ],
        ...isolation(base),
      }),
    ],
  };
}

/** What a killed systemd-nspawn leaves below /run. */
function nspawnLeftovers(machine: string): string[] {
  return ['propagate', 'unix-export'].map((kind) => `/run/systemd/nspawn/${kind}/${machine}`);
}

function limitProperties(limits: Limits): `${string}=${string}`[] {
  const properties: `${string}=${string}`[] = [`TasksMax=${limits.tasksMax}`];
  const memoryMax = limits.memoryMaxBytes ?? percentage(limits.memoryMaxPercent);
  // Swap is not in MemoryMax=: without a limit of its own a machine would go on there.
  if (memoryMax !== undefined) properties.push(`MemoryMax=${memoryMax}`, 'MemorySwapMax=0');
  if (limits.memoryHighBytes !== undefined) properties.push(`MemoryHigh=${limits.memoryHighBytes}`);
  if (limits.memoryHighPercent !== undefined)
    properties.push(`MemoryHigh=${limits.memoryHighPercent}%`);
  if (limits.cpuWeight !== undefined) properties.push(`CPUWeight=${limits.cpuWeight}`);
  if (limits.cpuQuotaPercent !== undefined) properties.push(`CPUQuota=${limits.cpuQuotaPercent}%`);
  return properties;
}

function percentage(value: number | undefined): string | undefined {
  return value === undefined ? undefined : `${value}%`;
}

/** systemd.syntax(7) "QUOTING". */
function quoteForUnit(word: string): string {
  return /[\s"'\\]/.test(word) ? `"${word.replaceAll(/["\\]/g, '\\$&')}"` : word;
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`${title}:`, ...lines.map((line) => `  ${line}`)];
}

function lastLines(text: string, count: number): string[] {
  return text
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '')
    .slice(-count);
}

async function consoleTail(console: Awaited<ReturnType<typeof open>>): Promise<string[]> {
  const { size } = await console.stat();
  const length = Math.min(size, CONSOLE_TAIL_BYTES);
  const { buffer } = await console.read(Buffer.alloc(length), 0, length, size - length);
  // The console speaks to a terminal: colors and cursor moves mean nothing in a log.
  return lastLines(
    buffer.toString().replaceAll(/\u001b\[[0-9;?]*[A-Za-z]/g, ''),
    CONSOLE_TAIL_LINES,
  );
}
