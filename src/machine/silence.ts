/** What became of a script when its client has ended and the machine has told nothing. */
import { setTimeout as sleep } from 'node:timers/promises';
import { resetFailed, showUnit, systemState, type UnitProperties } from '../tools/systemctl.ts';
import { emptyCgroup, isPopulated, newOomKills } from './cgroup.ts';
import { findMachineEnd, isRunning } from './machine-end.ts';
import type { ScriptOutcome } from './outcome.ts';
import type { Running } from './run-script.ts';

const KILL_WAIT_MS = 5_000;
/** A machine in an orderly shutdown may wait so long for its services. */
const SHUTDOWN_WAIT_MS = 120_000;
/** A machine whose manager does not answer has died, or goes on without one. */
const SILENT_WAIT_MS = 3_000;
const POLL_MS = 150;
const INNER_MANAGER_TIMEOUT_SEC = 5;

/** Undefined when the script still runs. */
export async function explainSilence(running: Running): Promise<ScriptOutcome | undefined> {
  const { machine, unit, cgroup } = running;
  const inner = await innerState(machine);
  const patience =
    inner === 'stopping' ? SHUTDOWN_WAIT_MS : inner === undefined ? SILENT_WAIT_MS : 0;
  if (await isGoneWithin(machine, patience)) {
    return { kind: 'machine-gone', end: await findMachineEnd(machine, running.startedSec - 1) };
  }
  if (inner === undefined && isPopulated(cgroup)) return undefined;
  const seen = inner === undefined ? {} : await showInner(machine, unit);
  if (/ing$|^active$/.test(seen['ActiveState'] ?? '')) return undefined;
  await emptyCgroup(cgroup, KILL_WAIT_MS);
  if (seen['LoadState'] === 'loaded') {
    await resetFailed(unit, { machine }).catch(() => undefined);
    // ExecMainCode is a CLD_ code of waitid(2): 2 killed, 3 dumped.
    if (seen['ExecMainCode'] === '2' || seen['ExecMainCode'] === '3') {
      const signal = Number(seen['ExecMainStatus']);
      const oomKills = newOomKills(machine, running.oomBefore);
      return { kind: 'frame-killed', signal, oomKills };
    }
  }
  const { status } = await running.client.ended;
  return { kind: status === 0 ? 'untold' : 'not-started', facts: await clientFacts(running) };
}

async function isGoneWithin(machine: string, patienceMs: number): Promise<boolean> {
  const end = performance.now() + patienceMs;
  while (await isRunning(machine)) {
    if (performance.now() >= end) return false;
    await sleep(POLL_MS);
  }
  return true;
}

/** Undefined when the machine's manager does not answer. */
async function innerState(machine: string): Promise<string | undefined> {
  const where = { machine, timeoutSec: INNER_MANAGER_TIMEOUT_SEC };
  return systemState(where).catch(() => undefined);
}

/** Empty when the machine's manager does not answer. */
async function showInner(machine: string, unit: string): Promise<UnitProperties> {
  const properties = ['LoadState', 'ActiveState', 'ExecMainCode', 'ExecMainStatus'];
  const where = { machine, timeoutSec: INNER_MANAGER_TIMEOUT_SEC };
  return showUnit(unit, properties, where).catch(() => ({}));
}

async function clientFacts({ client, streams }: Running): Promise<string[]> {
  const { status, signal } = await client.ended;
  const said = streams.lastOfStderr().trim();
  return [
    `systemd-run ended with ${status === undefined ? (signal ?? 'no status') : `exit status ${status}`}.`,
    ...(said === '' ? [] : [`It said: ${said}`]),
  ];
}
