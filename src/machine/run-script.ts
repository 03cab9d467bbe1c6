/**
 * One script in a job's machine. Truth about its end comes from inside with the nonce (frame.sh,
 * end-mark.ts). The client that started the unit is only a hint: it says 0 when the machine dies,
 * and it returns early when the machine's manager re-executes.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Started } from '../tools/exec.ts';
import { resetFailed } from '../tools/systemctl.ts';
import { startInMachine } from '../tools/systemd-run.ts';
import {
  emptyCgroup,
  isHeard,
  isPopulated,
  machineCgroup,
  newOomKills,
  oomKills,
  signalCgroup,
} from './cgroup.ts';
import { forward, type Forwarded } from './forward.ts';
import { FRAME_IN_MACHINE } from './machine-files.ts';
import { markedEnvironment } from '../marks.ts';
import type { ScriptOutcome } from './outcome.ts';
import type { MachineRecord } from './record.ts';
import { explainSilence } from './silence.ts';

/** How long output that is on its way may take once the client says that the unit failed. */
const LAST_OUTPUT_MS = 1_000;
/**
 * The same when it says that all went well. Streams that are open then have a living relay behind
 * them, which brings the end however busy the host is; those of a dead machine are closed.
 */
const LAST_OUTPUT_OF_SUCCESS_MS = 15_000;
const MACHINE_POLL_MS = 1_000;
const STILL_THERE_POLL_MS = 2_000;
const KILL_WAIT_MS = 5_000;
const INNER_MANAGER_TIMEOUT_SEC = 5;

export interface ScriptRun {
  readonly record: MachineRecord;
  /** Path of the script on the host; it reaches the machine as an open file only. */
  readonly script: string;
  /** GitLab's name of the script, for the unit's name. */
  readonly stage: string;
  /** Absolute path in the machine. */
  readonly shell: string;
  readonly signal: AbortSignal;
  readonly output: {
    readonly stdout: NodeJS.WritableStream;
    readonly stderr: NodeJS.WritableStream;
  };
}

/** A script on its way, as those see it who have to find out how it ended. */
export interface Running {
  readonly machine: string;
  readonly unit: string;
  readonly cgroup: string;
  readonly client: Started;
  readonly streams: Forwarded;
  readonly startedSec: number;
  readonly oomBefore: number;
}

/** Runs the script to its end and says how it ended; output is passed on as it comes. */
export async function runScript(run: ScriptRun): Promise<ScriptOutcome> {
  const { machine } = run.record;
  const nonce = randomBytes(16).toString('hex');
  const unit = `nspawn-runner-${run.stage.replaceAll(/[^A-Za-z0-9_]/g, '_').slice(0, 40)}-${nonce.slice(0, 8)}.service`;
  const oomBefore = oomKills(machine);
  const { client, streams } = await startScript(run, unit, nonce);
  const running: Running = {
    machine,
    unit,
    cgroup: machineCgroup(machine, unit),
    client,
    streams,
    startedSec: Math.floor(Date.now() / 1000),
    oomBefore,
  };
  try {
    return await firstWord(running, run);
  } finally {
    running.streams.close();
    client.kill('SIGKILL');
  }
}

async function startScript(
  run: ScriptRun,
  unit: string,
  nonce: string,
): Promise<Pick<Running, 'client' | 'streams'>> {
  const script = openSync(run.script, 'r');
  try {
    const marks = markedEnvironment(run.record);
    const client = await startInMachine(innerUnit(run, unit, nonce), script, marks);
    // Before anything is awaited: what a started process says while no one reads is thrown away.
    return { client, streams: forward(client, nonce, run.output) };
  } finally {
    closeSync(script);
  }
}

function innerUnit(
  run: ScriptRun,
  unit: string,
  nonce: string,
): Parameters<typeof startInMachine>[0] {
  return {
    unit,
    machine: run.record.machine,
    user: run.record.user,
    serviceType: 'oneshot',
    properties: [
      // What the script leaves running lives until the machine ends.
      'KillMode=process',
      // The frame ignores a polite end; when the machine goes down nothing must wait for it.
      'KillSignal=SIGKILL',
      'IgnoreSIGPIPE=no',
      // The machine's own unit is the limit.
      'OOMPolicy=continue',
      'TasksMax=infinity',
      'LimitNOFILE=65536:524288',
    ],
    env: {
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      LANG: 'C.UTF-8',
      TMPDIR: '/tmp',
      // Who has no home has no login shell either, and systemd then sets neither.
      ...(run.record.home === undefined ? {} : { HOME: run.record.home, SHELL: run.record.shell }),
      ...markedEnvironment(run.record),
    },
    argv: ['/bin/sh', FRAME_IN_MACHINE, nonce, run.shell],
  };
}

async function firstWord(running: Running, run: ScriptRun): Promise<ScriptOutcome> {
  const aborted = new Promise<'aborted'>((resolve) => {
    if (run.signal.aborted) resolve('aborted');
    run.signal.addEventListener('abort', () => resolve('aborted'), { once: true });
  });
  const told = running.streams.ended.then((status) => exited(running, status));
  for (;;) {
    const word = await Promise.race([told, aborted, explanation(running)]);
    if (word === 'aborted') {
      await stopScript(running, run.record.scriptStopTimeoutSec);
      return { kind: 'stopped' };
    }
    if (word !== undefined) return word;
    // The unit is alive although its client has gone: go on listening, and look again in a while.
    await Promise.race([told, aborted, sleep(STILL_THERE_POLL_MS)]);
  }
}

/** What can be found out once the client has ended; undefined when the script still runs. */
async function explanation(running: Running): Promise<ScriptOutcome | undefined> {
  const over = new AbortController();
  await Promise.race([clientEnd(running), machineEnd(running, over.signal)]);
  over.abort();
  return explainSilence(running);
}

/** Resolves when the machine has no process left: the client of 257 may wait for it for ever. */
async function machineEnd({ machine }: Running, over: AbortSignal): Promise<void> {
  const cgroup = machineCgroup(machine);
  while (!over.aborted && isPopulated(cgroup)) {
    await sleep(MACHINE_POLL_MS, undefined, { ref: false });
  }
}

/** The end that the machine told. */
function exited(running: Running, status: number): ScriptOutcome {
  return {
    kind: 'exited',
    status,
    oomKills: newOomKills(running.machine, running.oomBefore),
  };
}

/** Resolves when the client has ended and what was on its way has had time to arrive. */
async function clientEnd({ client, streams }: Running): Promise<void> {
  const { status } = await client.ended;
  const patience = status === 0 ? LAST_OUTPUT_OF_SUCCESS_MS : LAST_OUTPUT_MS;
  await Promise.race([streams.closed, sleep(patience)]);
}

/**
 * TERM to all of the stage's processes, a bounded grace, KILL, and proof that none is left. The
 * client is no help here: ending it does not end the unit.
 */
async function stopScript(running: Running, graceSec: number): Promise<void> {
  const { cgroup, streams, machine, unit, client } = running;
  // A unit that the client has asked for and that is not there yet is waited for.
  if (!(await unitAppeared(running))) return;
  const grace = Promise.race([streams.ended, streams.closed, sleep(graceSec * 1000)]);
  const over = grace.then(() => true);
  // The frame ignores TERM; one that comes before it has started the script would be lost.
  while (!isHeard(cgroup, 'SIGTERM')) if (await Promise.race([over, sleep(10)])) break;
  signalCgroup(cgroup, 'SIGTERM');
  await over;
  await emptyCgroup(cgroup, KILL_WAIT_MS);
  client.kill('SIGKILL');
  await resetFailed(unit, { machine, timeoutSec: INNER_MANAGER_TIMEOUT_SEC }).catch(
    () => undefined,
  );
}

async function unitAppeared({ cgroup, client, streams }: Running): Promise<boolean> {
  const over = Promise.race([client.ended, streams.ended, sleep(KILL_WAIT_MS)]).then(() => true);
  while (!isPopulated(cgroup)) {
    if (await Promise.race([over, sleep(5)])) return isPopulated(cgroup);
  }
  return true;
}
