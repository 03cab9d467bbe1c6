/** SIGTERM to the driver's group in every stage, and at many points of prepare. */
import { describe, expect, it } from 'vitest';
import { DriverJob, isUp, leftovers, waitFor } from './driver.ts';

/** scripts/sweep runs the full count; here a few, at moments drawn from this seed. */
const POINTS = Number(process.env['NSPAWN_RUNNER_SWEEP'] ?? 12);
const SEED = Number(process.env['NSPAWN_RUNNER_SEED'] ?? Date.now() % 100_000);

/** mulberry32: small, and the same on every host for one seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('a script that is stopped', () => {
  it.each([
    ['sleeps', 'sleep 300'],
    ['ignores TERM', 'trap "" TERM; while :; do sleep 1; done'],
    ['has left children that ignore TERM', '(trap "" TERM; sleep 300) & (trap "" TERM; sleep 300)'],
    ['writes all the time', 'while :; do echo noise; done'],
    ['runs commands in a session of their own', 'setsid sleep 300 & setsid sleep 300'],
  ])('while it %s is gone before the driver is, and after_script works', async (_, script) => {
    const job = await DriverJob.create({ settings: 'script_stop_timeout: 1\n' });
    await job.prepare();
    const running = await job.startRun(`echo begun; ${script}; echo survived >/root/survived`);
    await running.says('begun');
    await sleep(300);
    running.signalGroup('SIGTERM');
    const result = await running.result;
    expect(result.status).toBe(2);
    expect(result.stdout).toContain('begun\n');
    const after = await job.run(
      'pgrep -x "sleep|yes"; ls /root | grep survived; systemctl is-system-running',
      'after_script',
    );
    expect(after.stdout).toBe('running\n');
    expect(after.status).toBe(0);
    await job.dispose();
  });

  it('ends by its own trap, and what the trap prints still comes', async () => {
    const job = await DriverJob.create();
    await job.prepare();
    const running = await job.startRun(
      'trap "echo trapped; exit 1" TERM; echo begun; sleep 300 & wait',
    );
    await running.says('begun');
    running.signalGroup('SIGTERM');
    const result = await running.result;
    expect(result.stdout).toBe('begun\ntrapped\n');
    expect(result.durationMs).toBeLessThan(100_000);
    await job.dispose();
  });

  it('just before it starts ends as soon as it has', async () => {
    const job = await DriverJob.create({ settings: 'script_stop_timeout: 60\n' });
    await job.prepare();
    // The frame that starts a script calls mktemp before.
    const slow = '#!/bin/sh\nsleep 2\nexec /usr/bin/mktemp "$@"\n';
    const path = '/usr/local/bin/mktemp';
    expect((await job.run(`cat >${path} <<'END'\n${slow}END\nchmod +x ${path}`)).status).toBe(0);
    const running = await job.startRun('sleep 300');
    await sleep(1_000);
    running.signalGroup('SIGTERM');
    expect((await running.result).durationMs).toBeLessThan(50_000);
    await job.dispose();
  });

  it('leaves alone what an earlier script left running', async () => {
    const job = await DriverJob.create();
    await job.prepare();
    await job.run('sleep 301 & true');
    const running = await job.startRun('echo begun; sleep 302');
    await running.says('begun');
    await sleep(200);
    running.signalGroup('SIGTERM');
    await running.result;
    expect((await job.run('pgrep -fa "^sleep"', 'after_script')).stdout).toMatch(
      /^\d+ sleep 301\n$/,
    );
    await job.dispose();
  });
});

describe('signals', () => {
  it('SIGQUIT, which a draining runner sends, ends no stage', async () => {
    const job = await DriverJob.create();
    const preparing = job.start('prepare');
    await preparing.handles('SIGQUIT');
    preparing.signalGroup('SIGQUIT');
    expect((await preparing.result).status).toBe(0);
    const running = await job.startRun('echo begun; sleep 1; exit 7');
    await running.says('begun');
    running.signalGroup('SIGQUIT');
    expect((await running.result).exitCode?.trim()).toBe('7');
    await job.dispose();
  });

  it('SIGTERM during cleanup does not leave a half of the machine', async () => {
    const job = await DriverJob.create();
    await job.prepare();
    const cleaning = job.start('cleanup');
    await sleep(120);
    cleaning.signalGroup('SIGTERM');
    await cleaning.result;
    await job.cleanup();
    expect(await leftovers(job)).toEqual([]);
    await job.dispose();
  });

  it('SIGKILL of the driver’s group during a script leaves the machine to the cleanup', async () => {
    const job = await DriverJob.create();
    await job.prepare();
    const running = await job.startRun('echo begun; sleep 300');
    await running.says('begun');
    running.signalGroup('SIGKILL');
    await running.result;
    expect(await isUp(job)).toBe(true);
    await job.dispose();
  });
});

describe(`prepare stopped at ${POINTS} points (seed ${SEED})`, () => {
  const random = randomFrom(SEED);
  const points = Array.from({ length: POINTS }, (_, index) => [index, random()] as const);

  it.each(points)('point %i, at %f of its time', async (_, fraction) => {
    const job = await DriverJob.create();
    const preparing = job.start('prepare');
    await sleep(fraction * 600);
    try {
      preparing.signalGroup('SIGTERM');
    } catch {
      // It was ready before.
    }
    const { status } = await preparing.result;
    expect([0, 2, 143]).toContain(status);
    expect((await job.cleanup()).status).toBe(0);
    expect(await leftovers(job)).toEqual([]);
    expect((await job.prepare()).status).toBe(0);
    expect((await job.run('echo next')).stdout).toBe('next\n');
    await job.dispose();
  });
});

describe('many at once', () => {
  it('20 jobs from one chroot all run, and each in its own machine', async () => {
    const jobs = await Promise.all(
      Array.from({ length: 20 }, () => DriverJob.create({ settings: 'boot_timeout: 120\n' })),
    );
    const prepared = await Promise.all(jobs.map((job) => job.prepare()));
    expect(prepared.map(({ stderr }) => stderr.includes('is ready after'))).not.toContain(false);
    const names = await Promise.all(
      jobs.map(async (job) => (await job.run('hostname; echo x >/root/x; exit 0')).stdout.trim()),
    );
    expect(names).toEqual(jobs.map((job) => job.machine));
    await Promise.all(jobs.map((job) => job.cleanup()));
    await waitFor('all are gone', async () => {
      for (const job of jobs) if ((await leftovers(job)).length > 0) return false;
      return true;
    });
    await Promise.all(jobs.map((job) => job.dispose()));
  });
});
