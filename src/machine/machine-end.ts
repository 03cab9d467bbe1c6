/** Why a machine is gone, read from what the host's manager wrote to the journal. */
import { setTimeout as sleep } from 'node:timers/promises';
import { unitJournal, type JournalEntry } from '../tools/journalctl.ts';
import { showUnit } from '../tools/systemctl.ts';
import { unitName } from './names.ts';
import type { MachineEnd } from './outcome.ts';

const LINES = 30;
const POLL_MS = 100;
const STOP_WAIT_MS = 15_000;
/** The journal is no promise: a machine's last words may never come, and its end is told all the same. */
const JOURNAL_ATTEMPTS = 30;
/** systemd-nspawn(1) "EXIT STATUS": the machine asked for a reboot. */
const REBOOT_STATUS = '133';

/** Whether the machine's unit still runs. */
export async function isRunning(machine: string): Promise<boolean> {
  return (await activeState(machine)) === 'active';
}

async function activeState(machine: string): Promise<string> {
  const unit = await showUnit(unitName(machine), ['LoadState', 'ActiveState']);
  return unit['LoadState'] === 'loaded' ? (unit['ActiveState'] ?? 'inactive') : 'inactive';
}

/** Reads the end of a machine that is no longer running, once its unit has stopped. */
export async function findMachineEnd(machine: string, sinceSec: number): Promise<MachineEnd> {
  const stopped = performance.now() + STOP_WAIT_MS;
  while (performance.now() < stopped && /ing$/.test(await activeState(machine)))
    await sleep(POLL_MS);
  for (let attempt = 1; ; attempt++) {
    const entries = await unitJournal(unitName(machine), { lines: LINES, sinceSec });
    // The journal is written behind the manager's back; give its last words a moment.
    if (attempt === JOURNAL_ATTEMPTS || entries.some(tellsTheEnd)) return machineEnd(entries);
    await sleep(POLL_MS);
  }
}

/**
 * With OOMPolicy=continue (systemd.service(5)) the unit's result is `signal` or `exit-code` also
 * when the kernel killed the supervisor or the machine's init for want of memory; what tells is
 * the manager's line about the kill, just before the end. It writes none on cgroup v1.
 */
const OOM_KILL_TO_EXIT_MS = 5_000;
const OOM_KILL = /: A process of this unit has been killed by the OOM killer\.$/;
const ASKED_FOR = /^Stopping | on client request\.$/;

/** What the manager writes when a unit ends, without the list of processes it signalled. */
const TELLING =
  /^(Stopping|Stopped) |: (Main process exited|Failed with result|Deactivated|Succeeded|systemd-oomd killed)/;
const DEADLINE = /reached runtime time limit/;
const DEACTIVATED = /: (Deactivated successfully|Succeeded)\.$/;

function tellsTheEnd({ message, unitResult }: JournalEntry): boolean {
  return unitResult !== undefined || DEACTIVATED.test(message);
}

/** Pure: the entries of one machine's unit, oldest first; an earlier attempt's are left out. */
export function machineEnd(all: readonly JournalEntry[]): MachineEnd {
  const entries = all.slice(
    all.findLastIndex(({ message }) => message.startsWith('Starting ')) + 1,
  );
  const exit = entries.findLast((entry) => entry.exitCode !== undefined);
  const result = entries.findLast((entry) => entry.unitResult !== undefined)?.unitResult;
  if (result === 'oom-kill') return { how: 'out-of-memory' };
  if (entries.some(({ message }) => DEADLINE.test(message))) return { how: 'deadline' };
  if (exit?.exitCode === 'exited' && exit.exitStatus?.split('/')[0] === REBOOT_STATUS) {
    return { how: 'rebooted' };
  }
  if (exit !== undefined && diedOfWant(entries, exit)) return { how: 'out-of-memory' };
  const deactivated = entries.some((entry) => DEACTIVATED.test(entry.message));
  if (result === undefined && deactivated && !entries.some((e) => /^Stopping /.test(e.message))) {
    return { how: 'powered-off' };
  }
  const facts = entries.map(({ message }) => message).filter((message) => TELLING.test(message));
  return { how: 'killed', facts: facts.slice(-3) };
}

/** Whether the end came with a kill by the kernel; an earlier one, of a script's process, is none. */
function diedOfWant(entries: readonly JournalEntry[], exit: JournalEntry): boolean {
  const kill = entries.findLast(({ message }) => OOM_KILL.test(message));
  if (kill === undefined || entries.some(({ message }) => ASKED_FOR.test(message))) return false;
  return Math.abs(exit.atMs - kill.atMs) <= OOM_KILL_TO_EXIT_MS;
}
