/**
 * How a job can end, row by row, and that nothing of it is left on the host by then: the checker
 * compares the host before and after. Where more than that is held, or a row is elsewhere:
 *
 *     passes, fails             here; each end of a script in outcome.test.ts
 *     user cancels              here; what the log says in contract-cancel.test.ts, each stage in
 *                               stop.test.ts
 *     job timeout               here; contract-cancel.test.ts
 *     machine killed under it   reap-gc.test.ts (a); outcome.test.ts
 *     more memory than it may   limits.test.ts, limits-v2.test.ts, where limits are enforced
 *     runner killed, restarted  here; at many points in kill-sweep.test.ts
 *     runner stopped for good   reap-gc.test.ts (b) and (c)
 *     host loses power          power-loss.test.ts
 *     prepare fails half way    here; killed half way in kill-sweep.test.ts
 */
import { execa } from 'execa';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { BUNDLE, DriverJob, host, isUp, waitFor } from './driver.ts';
import { newProject, runHostJob, startHostJob, type HostJobOptions } from './host-job.ts';
import { difference, hostState, leftSince } from './host-state.ts';
import { quietHost } from './quiet-host.ts';
import { explain, reap } from './reap.ts';
import type { KillMoment } from './runner-process.ts';
import { killedRunner, removeRoots } from './separate-runner.ts';

beforeAll(async () => {
  await quietHost();
});

describe('a job that its cleanup ends', () => {
  it.each<[string, HostJobOptions, readonly unknown[]]>([
    ['passes', { script: ['sleep 300 & true'] }, ['success', undefined, undefined]],
    ['fails', { script: ['sleep 300 & exit 7'] }, ['failed', 'script_failure', 7]],
    [
      'is canceled by its user',
      { script: ['echo up; sleep 300'], afterScript: ['true'], cancelAt: { log: /^up$/m } },
      ['canceled', 'job_canceled', undefined],
    ],
    [
      'is aborted',
      { script: ['echo up; sleep 300'], abortAt: { log: /^up$/m } },
      ['canceled', 'job_canceled', undefined],
    ],
    [
      'has a runner that is told to end',
      { script: ['echo up; sleep 300'], interruptAt: { log: /^up$/m } },
      ['failed', 'runner_interrupted', undefined],
    ],
    [
      'runs into its timeout',
      { script: ['sleep 300'], timeout: 4 },
      ['failed', 'job_execution_timeout', undefined],
    ],
    [
      'has a driver that is killed',
      { script: ['echo up; sleep 300'], killDriverAt: { log: /^up$/m } },
      ['failed', 'runner_system_failure', undefined],
    ],
  ])('%s', async (_, options, end) => {
    const before = await hostState();
    const result = await runHostJob(options);
    expect([result.status, result.failureReason, result.exitCode]).toEqual(end);
    expect(await leftSince(before)).toEqual([]);
  });

  it('has a prepare that fails half way, each of three times', async () => {
    const before = await hostState();
    const project = newProject();
    const result = await runHostJob({
      ...{ script: ['echo never'], project },
      // Too late to be seen before the machine is half made.
      driver: withBrokenPrepare(),
    });
    expect([result.status, result.failureReason]).toEqual(['failed', 'runner_system_failure']);
    expect(result.names.filter((name) => name === 'prepare')).toHaveLength(3);
    expect(result.log).toContain('did not become ready');
    expect(await leftSince(before)).toEqual([]);
  });
});

function withBrokenPrepare(): NonNullable<HostJobOptions['driver']> {
  const line = (...args: string[]): string[] => [process.execPath, BUNDLE, ...args];
  return {
    config: line('config'),
    prepare: line('prepare', '--bind-ro=/nonexistent:/mnt'),
    run: line('run'),
    cleanup: line('cleanup'),
  };
}

describe('a driver that is killed in its cleanup', () => {
  it('leaves the machine of a job that its runner has ended: one reap takes it', async () => {
    const before = await hostState();
    const living = await DriverJob.create();
    await living.prepare();
    const job = await startHostJob({
      script: ['sleep 300 & true'],
      killDriverAt: { stage: 'cleanup', afterMs: 30 },
      leavesMachine: true,
    });
    // The runner is this process, and goes on to its next job.
    expect((await job.result).status).toBe('success');
    const { status, report, about } = await reap();
    const ignore = [living.machine, living.tmpDir];
    expect(await leftSince(before, { ignore }), explain(report.items)).toEqual([]);
    expect(status).toBe(0);
    expect(new Set(about(living.machine).map(({ result }) => result))).toEqual(new Set(['kept']));
    await living.dispose();
    await rm(job.tmpRoot, { recursive: true });
  });
});

describe('a runner that is killed', () => {
  it.each<[string, KillMoment]>([
    ['prepare', { stage: 'prepare', afterMs: 250 }],
    ['a script', { stage: 'build_script', afterMs: 700 }],
    ['cleanup', { stage: 'cleanup', afterMs: 40 }],
  ])('with its driver in %s, and started anew: one reap takes all', async (_, at) => {
    const before = await hostState();
    const dead = await killedRunner(at, 'driver and runner', 'sleep 300 & sleep 3');
    const living = await startHostJob({ script: ['echo up; sleep 4; echo still here'] });
    await waitFor('the next job runs', () => /^up$/m.test(living.log()));
    const { status, report, about, stderr } = await reap();
    const ignore = [living.machine, living.tmpRoot];
    expect(await leftSince(before, { ignore }), `${stderr}${explain(report.items)}`).toEqual([]);
    expect(status, explain(report.items)).toBe(0);
    for (const item of about(living.machine)) expect(item.result, item.reason).toBe('kept');
    const { status: end, log } = await living.result;
    expect(end).toBe('success');
    expect(log).toContain('still here');
    expect(await leftSince(before)).toEqual([]);
    await removeRoots([dead]);
  });

  it('alone, and its driver lives on: nothing is touched until the stage has ended', async () => {
    const before = await hostState();
    // The stage ends the script of a Runner that is gone; this one makes it wait for that.
    const script = 'trap "" TERM; echo trapped; sleep 300';
    const dead = await killedRunner({ line: 'trapped' }, 'runner', script);
    const during = await reap();
    expect(during.status).toBe(0);
    const [machine] = during.about(dead.machine).filter(({ kind }) => kind === 'machine');
    expect(machine?.result, explain(during.report.items)).toBe('kept');
    expect(machine?.reason).not.toBe('');
    await waitFor('the stage has ended', async () => {
      const { stdout } = await execa('pgrep', ['--full', dead.tmpRoot], { reject: false });
      return stdout === '';
    });
    const { status, report } = await reap();
    expect(await leftSince(before), explain(report.items)).toEqual([]);
    expect(status, explain(report.items)).toBe(0);
    await removeRoots([dead]);
  });

  it('and what its job left on the host, marked as the job’s, goes too; a living job’s does not', async () => {
    const before = await hostState();
    const dead = await killedRunner({ line: 'up' }, 'driver and runner', 'echo up; sleep 300');
    const { tag } = JSON.parse(await readFile(join(dead.directory, 'record.json'), 'utf8')) as {
      tag: string;
    };
    const stray = await orphan({ _CI_JOB_TAG: tag });
    const marked = await orphan({ _CI_JOB_MACHINE: dead.machine });
    const near = await orphan({ _CI_JOB_TAG: `${tag}0`, OTHER: `_CI_JOB_TAG=${tag}` });
    const { report } = await reap();
    const why = explain(report.items);
    expect([isAlive(stray), isAlive(marked), isAlive(near)], why).toEqual([false, false, true]);
    process.kill(near, 'SIGKILL');
    expect(await leftSince(before), why).toEqual([]);
    await removeRoots([dead]);
  });
});

/** A process that has lost its parent. */
async function orphan(env: Readonly<Record<string, string>>): Promise<number> {
  const entries = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const start = 'env "$@" sleep 3000 </dev/null >/dev/null 2>&1 & echo $!';
  return Number(await host('sh', '-c', start, 'sh', ...entries));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('the reaper', () => {
  it('that is killed half way leaves the rest to the next run', async () => {
    const before = await hostState();
    for (const afterMs of [80, 200, 320, 440, 600]) {
      const at = { stage: 'build_script', afterMs: 500 };
      const dead = await killedRunner(at, 'driver and runner', 'sleep 300 & sleep 301');
      const first = execa(process.execPath, [BUNDLE, 'reap'], { detached: true, reject: false });
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      if (first.pid !== undefined && first.exitCode === null) process.kill(-first.pid, 'SIGKILL');
      await first;
      // What it started has the machine's lock until it ends.
      await waitFor('a run that nobody keeps from the machine', async () => {
        const { status, about } = await reap();
        return status === 0 && about(dead.machine).every(({ result }) => result === 'removed');
      });
      expect(await leftSince(before), `killed after ${afterMs} ms`).toEqual([]);
      await removeRoots([dead]);
    }
  });

  it('finds nothing to do on a host where all is well, beside a job that runs', async () => {
    const job = await DriverJob.create();
    await job.prepare();
    const between = await hostState();
    const { status, report, about } = await reap();
    expect([status, report.items.filter(({ result }) => result !== 'kept')]).toEqual([0, []]);
    expect(about(job.machine).map(({ result }) => result)).toContain('kept');
    expect(difference(between, await hostState())).toEqual([]);
    expect(await isUp(job)).toBe(true);
    expect((await job.run('echo on')).stdout).toBe('on\n');
    await job.dispose();
  });
});
