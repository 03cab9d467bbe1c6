/**
 * The reaper beside everybody who works on the same machine: the next attempt of its job, a cleanup,
 * another reaper, a stage that runs, a prepare that was killed. NSPAWN_RUNNER_RACES says how often.
 */
import { execa } from 'execa';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { identifyProcess, isAlive } from '../../src/process-identity.ts';
import { readRecord } from '../../src/machine/record.ts';
import { fuzz } from '../unit/fuzz.ts';
import { BUNDLE, DriverJob, host, isUp, waitFor } from './driver.ts';
import { difference, hostState, leftSince } from './host-state.ts';
import { LOCKS, strayProcess } from './orphans.ts';
import { quietHost } from './quiet-host.ts';
import { explain, reap } from './reap.ts';

const RACES = Number(process.env['NSPAWN_RUNNER_RACES'] ?? 20);
const TIMEOUT_MS = 60_000 + RACES * 20_000;

beforeAll(async () => {
  await quietHost();
});

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Runner {
  readonly pid: number;
  /** Status and stderr of the stage it called. */
  readonly ended: Promise<string>;
  readonly kill: () => Promise<void>;
}

/** The smallest GitLab Runner: calls one stage, then lives on. */
function startRunner(job: DriverJob, ...stage: string[]): Runner {
  const env = Object.entries(job.env).map(([name, value]) => `${name}=${value}`);
  const script = '"$@" </dev/null 2>&1; echo "ended with $?"; exec sleep 40000';
  const command = ['env', '--ignore-environment', ...env, process.execPath, BUNDLE, ...stage];
  const child = execa('sh', ['-c', script, 'runner', ...command], {
    ...{ stdin: 'ignore', stdout: 'pipe', stderr: 'ignore', buffer: false, reject: false },
    ...{ env: { PATH: process.env['PATH'] ?? '' }, extendEnv: false, detached: true },
  });
  let text = '';
  const ended = new Promise<string>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (/ended with \d+\n$/.test(text)) resolve(text);
    });
    child.stdout.on('close', () => resolve(text));
  });
  const pid = child.pid ?? 0;
  const kill = async (): Promise<void> => {
    process.kill(-pid, 'SIGKILL');
    await child;
  };
  return { pid, ended, kill };
}

/** Prepared by a Runner that has been killed since. */
async function orphanedJob(): Promise<DriverJob> {
  const job = await DriverJob.create();
  const runner = startRunner(job, 'prepare');
  expect(await runner.ended).toContain('ended with 0');
  await runner.kill();
  return job;
}

/** As the first one, by another Runner: GitLab has given the job out again. */
async function nextAttempt(first: DriverJob): Promise<DriverJob> {
  return DriverJob.create({ id: first.id });
}

const attemptOf = (job: DriverJob): string | undefined =>
  readRecord(join(job.directory, 'record.json'))?.attempt;

describe('a reap and the next attempt of the same job', () => {
  it(`race ${RACES} times, and the new machine always lives`, { timeout: TIMEOUT_MS }, async () => {
    const { below } = fuzz('races of reap and prepare');
    const before = await hostState();
    const won = { reap: 0, prepare: 0 };
    for (let race = 0; race < RACES; race++) {
      const first = await orphanedJob();
      const old = attemptOf(first);
      const oldMark = await strayProcess({ _CI_JOB_MACHINE: first.machine });
      const stray = identifyProcess(oldMark);
      const second = await nextAttempt(first);
      // A reap looks at the host for most of its time; a prepare takes the lock after a start of Node.
      const [reapAfter, prepareAfter] = [below(300), below(700)];
      const reaping = sleep(reapAfter).then(() => reap());
      await sleep(prepareAfter);
      const runner = startRunner(second, 'prepare');
      const [{ report, stderr }, prepared] = await Promise.all([reaping, runner.ended]);
      const why = `race ${race}, reap after ${reapAfter} ms, prepare after ${prepareAfter} ms: ${explain(report.items)}${stderr}${prepared}`;
      expect(prepared, why).toContain('ended with 0');
      expect(await isUp(second), why).toBe(true);
      expect((await second.run('echo "on $(hostname)"')).stdout, why).toBe(
        `on ${second.machine}\n`,
      );
      const record = readRecord(join(second.directory, 'record.json'));
      expect([record?.tmpDir, record?.runnerProcess?.pid], why).toEqual([
        second.tmpDir,
        runner.pid,
      ]);
      expect(record?.attempt, why).not.toBe(old);
      expect(stray !== undefined && isAlive(stray), why).toBe(false);
      const own = report.items.find(
        ({ kind, machine }) => kind === 'machine' && machine === first.machine,
      );
      won[own?.result === 'removed' ? 'reap' : 'prepare'] += 1;
      // With both at rest, one more reap leaves the living one alone and takes what the dead one left.
      const after = await reap();
      expect([after.status, await isUp(second)], explain(after.report.items)).toEqual([0, true]);
      expect(existsSync(first.tmpDir), explain(after.report.items)).toBe(false);
      await second.dispose();
      await runner.kill();
      expect(await leftSince(before), why).toEqual([]);
    }
    console.log(
      `${RACES} races: the reap was first ${won.reap} times, the prepare ${won.prepare} times`,
    );
  });
});

describe('a reap', () => {
  it(
    'and a cleanup of the same job, both of them: all is gone, and neither minds',
    { timeout: TIMEOUT_MS },
    async () => {
      const { below } = fuzz('races of reap and cleanup');
      const before = await hostState();
      for (let race = 0; race < Math.ceil(RACES / 4); race++) {
        const job = await orphanedJob();
        const reaping = sleep(below(300)).then(() => reap());
        await sleep(below(300));
        const { status, stderr } = await job.cleanup();
        const { report } = await reaping;
        expect([status, stderr], explain(report.items)).toEqual([0, '']);
        await reap();
        expect(await leftSince(before), explain(report.items)).toEqual([]);
      }
    },
  );

  it('says that another one is at work, and ends with 1', async () => {
    const before = await hostState();
    const job = await orphanedJob();
    // Holds the reaper's lock for as long as it is wanted.
    const holder = execa('flock', ['--exclusive', `${LOCKS}/reap`, 'sleep', '300'], {
      reject: false,
    });
    await waitFor('the lock is held', () => existsSync(`${LOCKS}/reap`));
    await sleep(200);
    for (const args of [[], ['--json']]) {
      const { exitCode, stdout, stderr } = await execa(
        process.execPath,
        [BUNDLE, 'reap', ...args],
        { reject: false },
      );
      expect([exitCode, stdout]).toEqual([1, '']);
      expect(stderr).toContain('Another nspawn-runner is at work on "reap".');
      expect(await isUp(job)).toBe(true);
    }
    // A look is free.
    expect((await reap({ dryRun: true })).status).toBe(0);
    await host('pkill', '--parent', String(holder.pid));
    await holder;
    const both = await Promise.all([reapStatus(), reapStatus()]);
    expect(both.filter((status) => status === 0).length).toBeGreaterThanOrEqual(1);
    expect(await leftSince(before)).toEqual([]);
  });

  it('leaves a job alone whose run stage lives, though its Runner does not', async () => {
    const before = await hostState();
    const job = await orphanedJob();
    // Its parent is not a Runner that was killed; the record says that the one of prepare was.
    const running = await job.startRun('echo up; sleep 4; echo done');
    await waitFor('the stage runs', () => hasStage(running.pid));
    const { status, about } = await reap();
    expect(status).toBe(0);
    expect(about(job.machine)[0]).toMatchObject({
      result: 'kept',
      reason: 'a stage of the job runs',
    });
    const { stdout, status: end } = await running.result;
    expect([end, stdout]).toEqual([0, 'up\ndone\n']);
    expect((await reap()).about(job.machine).map(({ result }) => result)).toContain('removed');
    await rm(job.tmpDir, { recursive: true, force: true });
    expect(await leftSince(before)).toEqual([]);
  });

  it('leaves a machine alone whose prepare is at work', async () => {
    const before = await hostState();
    const { below } = fuzz('reaps beside a prepare');
    const job = await DriverJob.create();
    const runner = startRunner(job, 'prepare');
    for (let isOver = false; !isOver;) {
      const { status, report } = await reap();
      const touched = report.items.filter(({ result }) => result !== 'kept');
      expect([status, explain(touched)]).toEqual([0, '']);
      isOver = await Promise.race([
        runner.ended.then(() => true),
        sleep(below(50)).then(() => false),
      ]);
    }
    expect(await runner.ended).toContain('ended with 0');
    expect((await job.run('echo on')).stdout).toBe('on\n');
    await job.dispose();
    await runner.kill();
    expect(await leftSince(before)).toEqual([]);
  });
});

describe('a prepare that is killed while its machine boots', () => {
  it('leaves a helper that has the lock, which cleanup ends', { timeout: TIMEOUT_MS }, async () => {
    const before = await hostState();
    const job = await DriverJob.create();
    const prepare = job.start('prepare');
    const lock = join(LOCKS, job.machine);
    await waitFor('the machine boots', () => helpersOf(job).length > 0 && existsSync(lock));
    const helper = helpersOf(job)[0] ?? 0;
    // Held still, so that it is there when the cleanup comes.
    process.kill(helper, 'SIGSTOP');
    process.kill(-prepare.pid, 'SIGKILL');
    await prepare.result;
    const { exitCode } = await execa('flock', ['--nonblock', lock, 'true'], { reject: false });
    expect(exitCode, 'the lock is held by the helper').toBe(1);
    const { status, stderr } = await job.cleanup();
    expect([status, stderr]).toEqual([0, '']);
    expect(existsSync(`/proc/${helper}`)).toBe(false);
    await rm(job.tmpDir, { recursive: true });
    expect(await leftSince(before)).toEqual([]);
  });

  it('is reaped with its helper when nobody calls cleanup', { timeout: TIMEOUT_MS }, async () => {
    const before = await hostState();
    const job = await DriverJob.create();
    const runner = startRunner(job, 'prepare');
    await waitFor('the machine boots', () => helpersOf(job).length > 0);
    const helper = helpersOf(job)[0] ?? 0;
    process.kill(helper, 'SIGSTOP');
    await runner.kill();
    const { status, report } = await reap();
    expect(status, explain(report.items)).toBe(0);
    expect(await leftSince(before), explain(report.items)).toEqual([]);
    expect(existsSync(`/proc/${helper}`)).toBe(false);
    expect(difference(before, await hostState())).toEqual([]);
  });
});

async function reapStatus(): Promise<number | undefined> {
  const { exitCode } = await execa(process.execPath, [BUNDLE, 'reap'], { reject: false });
  return exitCode;
}

/** `systemd-run` that boots the job's machine. */
function helpersOf({ unit }: DriverJob): number[] {
  return pids().filter((pid) => {
    const args = read(`/proc/${pid}/cmdline`).split('\0');
    return args[0] === 'systemd-run' && args.includes(`--unit=${unit}`);
  });
}

function hasStage(pid: number): boolean {
  return read(`/proc/${pid}/environ`).includes('BUILD_FAILURE_EXIT_CODE=');
}

function pids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** A process may go away between two looks at it. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
