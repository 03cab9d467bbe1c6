/** systemctl(1): what the manager knows of a unit, and ending one. */
import { CommandError } from '../errors.ts';
import { run } from './exec.ts';
import { jsonEntries } from './json-entries.ts';

export interface Where {
  /** The machine whose manager is asked; the host's own without. */
  readonly machine?: string;
  readonly timeoutSec?: number;
}

export type UnitProperties = Readonly<Record<string, string>>;

function target({ machine }: Where): string[] {
  return machine === undefined ? [] : [`--machine=${machine}`];
}

/**
 * Properties of a unit. One that does not exist answers too, with `LoadState=not-found` and
 * `Result=success`, so read LoadState first.
 */
export async function showUnit(
  unit: string,
  properties: readonly string[],
  where: Where = {},
): Promise<UnitProperties> {
  const { stdout } = await run(
    'systemctl',
    [...target(where), 'show', `--property=${properties.join(',')}`, '--', unit],
    { timeoutSec: where.timeoutSec ?? 10 },
  );
  return parseProperties(stdout);
}

/** Parses `systemctl show`: one KEY=VALUE a line, the value may hold further equal signs. */
export function parseProperties(text: string): UnitProperties {
  const properties: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const at = line.indexOf('=');
    if (at > 0) properties[line.slice(0, at)] = line.slice(at + 1);
  }
  return properties;
}

export interface ListedUnit {
  readonly unit: string;
  /** `active`, `inactive`, `activating`, `deactivating`, `failed`. */
  readonly active: string;
}

/** Loaded units whose names match a glob, also those that are not active. */
export async function listUnits(glob: string, where: Where = {}): Promise<readonly ListedUnit[]> {
  const args = [...target(where), 'list-units', '--all', '--full', '--output=json', '--', glob];
  const { timeoutSec } = where;
  return parseUnits(
    (await run('systemctl', args, timeoutSec === undefined ? {} : { timeoutSec })).stdout,
  );
}

/**
 * Parses `list-units --output=json`; an entry without the fields that are read is left out.
 * @throws HostError for what is no JSON.
 */
export function parseUnits(text: string): readonly ListedUnit[] {
  return jsonEntries('systemctl', text).flatMap(({ unit, load, active }) => {
    const isUnit = typeof unit === 'string' && typeof active === 'string' && load !== 'not-found';
    return isUnit ? [{ unit, active }] : [];
  });
}

/** What `is-system-running` says: `running`, `degraded`, `stopping` and so on. */
export async function systemState(where: Where = {}): Promise<string> {
  const { stdout } = await run('systemctl', [...target(where), 'show', '--property=SystemState'], {
    timeoutSec: where.timeoutSec ?? 10,
  });
  return parseProperties(stdout)['SystemState'] ?? 'unknown';
}

/**
 * Kills the main process of a unit; its manager kills the rest (KillMode=mixed) and runs its
 * ExecStopPost=, which "all" would kill as well. A unit without a main process is no failure.
 */
export async function killUnit(unit: string): Promise<void> {
  await unlessGone(run('systemctl', ['kill', '--kill-whom=main', '--signal=KILL', '--', unit]));
}

/** Stops a unit and waits until it is stopped, its ExecStopPost= included. */
export async function stopUnit(unit: string, timeoutSec: number): Promise<void> {
  await unlessGone(run('systemctl', ['stop', '--', unit], { timeoutSec }));
}

/** Forgets that a unit failed. A unit that is not there is no failure. */
export async function resetFailed(unit: string, where: Where = {}): Promise<void> {
  await unlessGone(
    run('systemctl', [...target(where), 'reset-failed', '--', unit], {
      timeoutSec: where.timeoutSec ?? 10,
    }),
  );
}

async function unlessGone(command: Promise<unknown>): Promise<void> {
  try {
    await command;
  } catch (error) {
    if (
      error instanceof CommandError &&
      /not (loaded|found)|no main process/i.test(error.command.stderrTail)
    )
      return;
    throw error;
  }
}
