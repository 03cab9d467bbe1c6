/**
 * What a killed systemd-nspawn leaves below /run: its own directories, from 256 on with a mount in
 * one, and a registration that makes the next machine of the name "exist already".
 */
import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { entriesOf } from './directory-entries.ts';
import { terminate } from '../tools/machinectl.ts';
import { unmountBelow } from '../tools/mount.ts';
import { removeTree } from '../tools/rm.ts';

const NSPAWN = '/run/systemd/nspawn';
const REGISTERED = '/run/systemd/machines';
const FORGET_MS = 1_000;
const POLL_MS = 10;
const KINDS = ['propagate', 'unix-export'];

/** Where a machine's remains would be. */
export function remainsPaths(machine: string): readonly string[] {
  return KINDS.map((kind) => join(NSPAWN, kind, machine));
}

/** What there is of them. */
export function findRemains(machine: string): readonly string[] {
  return [...remainsPaths(machine), join(REGISTERED, machine)].filter(isThere);
}

/** Every name that has remains. */
export function namesWithRemains(): readonly string[] {
  const places = [...KINDS.map((kind) => join(NSPAWN, kind)), REGISTERED];
  return [...new Set(places.flatMap(entriesOf))];
}

/** Names of machines that systemd-machined knows, ours and others. */
export function registeredMachines(): readonly string[] {
  // Beside each machine's file there are links by its unit.
  return entriesOf(REGISTERED).filter((name) => !name.includes(':'));
}

/** For a machine whose unit is gone. */
export async function removeRemains(machine: string): Promise<void> {
  if (!(await isForgotten(machine))) {
    await terminate(machine);
    await isForgotten(machine);
  }
  for (const path of remainsPaths(machine)) {
    if (!isThere(path)) continue;
    await unmountBelow(path);
    await removeTree(path);
  }
}

/** systemd-machined hears of a unit's end a moment later than we do. */
async function isForgotten(machine: string): Promise<boolean> {
  const end = performance.now() + FORGET_MS;
  while (isThere(join(REGISTERED, machine))) {
    if (performance.now() > end) return false;
    await sleep(POLL_MS);
  }
  return true;
}

/** Also a link that leads nowhere. */
function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
