/** What sweeps have left in the trash: interrupted, failed, or busy. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { entriesOf } from '../machine/directory-entries.ts';
import { HostError } from '../errors.ts';
import { trashDirectory } from '../machine/job-directory.ts';
import { startSweep, sweepUnitName } from '../machine/trash.ts';
import { isBtrfs, removeSubvolumesBelow } from '../tools/btrfs.ts';
import { unmountBelow } from '../tools/mount.ts';
import { listUnits } from '../tools/systemctl.ts';
import { keep, remove, type Case } from './finding.ts';

const POLL_MS = 100;

export async function trashCases(stateDir: string): Promise<readonly Case[]> {
  const items = trashItems(stateDir);
  if (items.length === 0) return [];
  const sweeps = new Set(await sweepsAtWork());
  return items.map((item) => ({
    machine: undefined,
    things: [{ kind: 'trash', name: item }],
    verdict: sweeps.has(item)
      ? keep('its sweep is at work', sweepUnitName(item))
      : remove('its sweep did not finish', 'no sweep is at work on it'),
    remove: (signal) => sweepAgain(stateDir, item, signal),
  }));
}

/** An item is in the trash a moment before systemd starts its sweep, and this may be the moment. */
async function sweepAgain(
  stateDir: string,
  item: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const path = join(trashDirectory(stateDir), item);
  await unmountBelow(path);
  await removeSubvolumes(path, signal);
  try {
    await startSweep(stateDir, item, { isAgain: true });
  } catch (error) {
    if (existsSync(path) && !(await sweepsAtWork()).includes(item)) throw error;
    return 'its own sweep has begun';
  }
  await sweepEnd(stateDir, item, signal);
  return undefined;
}

/** A job may have made some, as Docker does; the sweep takes each for another file system. */
async function removeSubvolumes(path: string, signal: AbortSignal): Promise<void> {
  try {
    if (await isBtrfs(path)) await removeSubvolumesBelow(path, signal);
  } catch {
    // The sweep fails over what is left, and deletes the rest.
  }
}

export function trashItems(stateDir: string): readonly string[] {
  return entriesOf(trashDirectory(stateDir));
}

/** Waits until nothing that is there now is being swept any more, or `signal` ends the wait. */
export async function waitForSweeps(stateDir: string, signal: AbortSignal): Promise<void> {
  // Jobs that end meanwhile bring more, on a busy host without end.
  let left = trashItems(stateDir);
  while (!signal.aborted && left.length > 0) {
    const sweeps = await sweepsAtWork();
    left = trashItems(stateDir).filter((item) => left.includes(item) && sweeps.includes(item));
    if (left.length > 0) await sleep(POLL_MS);
  }
}

async function sweepEnd(stateDir: string, item: string, signal: AbortSignal): Promise<void> {
  const path = join(trashDirectory(stateDir), item);
  while (existsSync(path)) {
    if (signal.aborted) throw new HostError(`"${path}" is still being deleted.`);
    if (!(await sweepsAtWork()).includes(item) && existsSync(path)) {
      throw new HostError(`"${path}" cannot be deleted.`, {
        hint: `Look at \`journalctl --unit=${sweepUnitName(item)}\`.`,
      });
    }
    await sleep(POLL_MS);
  }
}

/** A sweep that has been asked for is loaded and inactive until its turn comes; one that ended is unloaded. */
async function sweepsAtWork(): Promise<readonly string[]> {
  const units = await listUnits(sweepUnitName('*'));
  return units
    .filter(({ active }) => active !== 'failed')
    .map(({ unit }) => unit.slice(sweepUnitName('').indexOf('.service'), -'.service'.length));
}
