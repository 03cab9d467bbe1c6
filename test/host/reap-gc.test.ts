/**
 * The test of GitLab Runner's own garbage collector for Kubernetes (merge request !2983 there,
 * testKubernetesGarbageCollection), in our terms: (a) the machine is deleted during the job, (b) the
 * runner is stopped first, then the machine is deleted by hand, (c) the runner is stopped and
 * nothing is deleted.
 */
import { execa } from 'execa';
import { cp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { BUILT_PROGRAM } from '../runner-emulator.ts';
import { host, waitFor } from './driver.ts';
import { newProject, startHostJob } from './host-job.ts';
import { difference, hostState, leftSince } from './host-state.ts';
import { quietHost } from './quiet-host.ts';
import { reap, timerRun } from './reap.ts';
import { removeRoots, startSeparateRunner, type SeparateRunner } from './separate-runner.ts';

const DELETIONS: readonly (readonly [string, (machine: string) => Promise<unknown>])[] = [
  ['machinectl terminate', (machine) => host('machinectl', 'terminate', machine)],
  [
    'systemctl kill -s KILL',
    (machine) => host('systemctl', 'kill', '--signal=KILL', `${machine}.service`),
  ],
  ['systemctl stop', (machine) => host('systemctl', 'stop', `${machine}.service`)],
];
/** Something of every kind that a script leaves behind. */
const SCRIPT = [
  'mkdir -p /var/tmp/deep/er; ln -s /etc /var/tmp/deep/link; mkfifo /var/tmp/pipe',
  'sleep 300 & setsid sleep 301 &',
  'systemd-run --quiet --unit=inner sleep 302',
  'echo begun; sleep 303',
];

beforeAll(async () => {
  await quietHost();
});

describe('(a) a machine that is deleted during its job', () => {
  it.each(DELETIONS)('by %s: all of it goes, and the job fails as the system', async (_, end) => {
    const before = await hostState();
    const job = await startHostJob({
      script: SCRIPT,
      on: [{ at: { log: /^begun$/m }, act: () => end(job.machine) }],
    });
    const result = await job.result;
    expect(result.status).toBe('failed');
    expect(result.failureReason).toBe('runner_system_failure');
    expect(result.log).toContain(`Machine "${job.machine}" is gone: it was ended from outside`);
    expect(await leftSince(before)).toEqual([]);
  });
});

/** A runner and its driver, both killed in the middle of a script; the machine runs on. */
async function killedRunner(program?: string): Promise<SeparateRunner> {
  const variables = { CI_PROJECT_ID: String(newProject()) };
  const runner = await startSeparateRunner({
    job: {
      ...{ script: SCRIPT, variables },
      ...(program === undefined ? {} : { program: [process.execPath, program] }),
    },
    kill: { at: { line: 'begun' }, whom: 'driver and runner' },
  });
  await runner.says(/^begun$/m);
  await runner.gone;
  return runner;
}

describe('(b) a runner that is stopped first, and then its machine deleted by hand', () => {
  it.each(DELETIONS)('by %s: PID 1 alone takes all of it away', async (_, end) => {
    const before = await hostState();
    // A copy of the program that is gone before the machine is: no part of us can run.
    const copy = '/opt/moved-away';
    await cp(dirname(BUILT_PROGRAM), copy, { recursive: true });
    const runner = await killedRunner(join(copy, 'nspawn-runner.cjs'));
    await rm(copy, { recursive: true });
    expect(await host('machinectl', 'list', '--no-legend')).toContain(runner.machine);
    await end(runner.machine);
    // GitLab Runner's own directory is all that is left; only a look at its owner tells that it may go.
    expect(await leftSince(before, { ignore: [runner.tmpRoot] })).toEqual([]);
    const [line, ...others] = difference(before, await hostState());
    expect(others).toEqual([]);
    expect(line).toMatch(new RegExp(`^left: temp-dir: ${runner.tmpRoot}/custom-executor\\d+$`));
    await timerRun();
    expect(await leftSince(before)).toEqual([]);
    await removeRoots([runner]);
  });
});

describe('(c) a runner that is stopped, and nothing is deleted', () => {
  it('is gone after the next run of the timer', async () => {
    const before = await hostState();
    const runner = await killedRunner();
    expect(await host('machinectl', 'list', '--no-legend')).toContain(runner.machine);
    await timerRun();
    expect(await leftSince(before)).toEqual([]);
    await removeRoots([runner]);
  });

  it('a dry run before names all of it and changes nothing', async () => {
    const before = await hostState();
    const runner = await killedRunner();
    const between = await hostState();
    const { report, about, status } = await reap({ dryRun: true });
    expect([status, report.dryRun]).toEqual([0, true]);
    expect(about(runner.machine).map(({ result }) => result)).toContain('would-remove');
    for (const item of report.items) {
      expect(['would-remove', 'kept']).toContain(item.result);
      expect(item.reason).not.toBe('');
    }
    expect(await leftSince(between, { timeoutMs: 0 })).toEqual([]);
    await reap();
    expect(await leftSince(before)).toEqual([]);
    await removeRoots([runner]);
  });

  it('and a machine whose unit was stopped behind its back is no failure of the next run', async () => {
    const before = await hostState();
    const runner = await killedRunner();
    await Promise.all([timerRun(), execa('systemctl', ['stop', runner.unit], { reject: false })]);
    await waitFor('the machine is gone', async () => {
      const list = await host('machinectl', 'list', '--no-legend');
      return !list.includes(runner.machine);
    });
    expect((await reap()).status).toBe(0);
    expect(await leftSince(before)).toEqual([]);
    await removeRoots([runner]);
  });
});
