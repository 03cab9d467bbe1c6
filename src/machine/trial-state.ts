/** What the init of a machine that is tried says of itself once it has booted. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CommandError } from '../errors.ts';
import { listUnits, systemState } from '../tools/systemctl.ts';
import { runCheck, type TrialFailure, type TrialScript } from './trial-check.ts';

/** From the moment that the machine says it is ready. */
export const STATE_WAIT_SEC = 30;
const STATE_POLL_MS = 50;
const NOT_YET = ['initializing', 'starting'];

export interface StateFound {
  /** As `systemctl is-system-running` has it; `unknown` when the machine does not answer. */
  readonly systemState: string;
  readonly failedUnits: readonly string[];
  /** Undefined for a machine that is `running`. */
  readonly failure: TrialFailure | undefined;
}

type Trial = Omit<TrialScript, 'check'>;

/** Waits until the machine has booted or given up. */
export async function findState(trial: Trial): Promise<StateFound> {
  try {
    return await askState(trial);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    const lastLines = error.command.stderrTail.split('\n').filter((line) => line !== '');
    const sentence = 'The init of the machine does not answer on the system bus.';
    return unknownState({ name: 'systemd', sentence, lastLines });
  }
}

function unknownState(failure: TrialFailure): StateFound {
  return { systemState: 'unknown', failedUnits: [], failure };
}

async function askState(trial: Trial): Promise<StateFound> {
  const where = { machine: trial.record.machine };
  const end = performance.now() + STATE_WAIT_SEC * 1000;
  let state = await systemState(where);
  while (NOT_YET.includes(state) && performance.now() < end && !trial.signal.aborted) {
    await sleep(STATE_POLL_MS);
    state = await systemState(where);
  }
  if (state === 'running') return { systemState: state, failedUnits: [], failure: undefined };
  const units = await listUnits('*', where);
  const failedUnits = units.filter(({ active }) => active === 'failed').map(({ unit }) => unit);
  const sentence = stateSentence(state, failedUnits);
  const lastLines = await detailsOf(trial, failedUnits);
  return { systemState: state, failedUnits, failure: { name: 'systemd', sentence, lastLines } };
}

/** Pure. */
export function stateSentence(state: string, failedUnits: readonly string[]): string {
  if (NOT_YET.includes(state)) {
    return `The machine is still "${state}" ${STATE_WAIT_SEC} s after it was ready.`;
  }
  const units = failedUnits.map((unit) => `"${unit}"`).join(', ');
  return failedUnits.length === 0
    ? `The machine is "${state}" and not "running".`
    : `The machine is "${state}": ${units} failed.`;
}

/** What the machine's own journal has of the units that failed, or the jobs that it waits for. */
async function detailsOf(trial: Trial, failedUnits: readonly string[]): Promise<readonly string[]> {
  const quoted = failedUnits.map((unit) => `'${unit.replaceAll("'", String.raw`'\''`)}'`);
  const script =
    failedUnits.length === 0
      ? 'systemctl --no-pager list-jobs'
      : `systemctl --no-pager --full --lines=6 status -- ${quoted.join(' ')} || :`;
  const lines: string[] = [];
  await runCheck({
    ...trial,
    check: { name: 'systemd', script },
    // The journal is root's.
    record: { ...trial.record, user: 'root', shell: '/bin/sh', home: undefined },
    onLine: (line) => lines.push(line),
  });
  return lines.slice(0, 40);
}
