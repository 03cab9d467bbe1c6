/** What GitLab gets for each way in which a script can end; the table of docs/outcomes.md. */
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DriverJob, host, isUp, leftovers, waitFor, type StageResult } from './driver.ts';

const BUILD_FAILURE = 1;
const SYSTEM_FAILURE = 2;

function verdict({ status, exitCode }: StageResult): readonly [number, string | undefined] {
  return [status, exitCode?.trim()];
}

describe('a script that ends by itself', () => {
  let job: DriverJob;
  beforeAll(async () => {
    job = await DriverJob.create();
    const prepared = await job.prepare();
    expect(prepared.stderr).toMatch(/Machine \S+ is ready after \d+\.\d\d s\./);
    expect(prepared.status).toBe(0);
  });
  afterAll(() => job.dispose());

  it.each([1, 2, 42, 128, 255])('with status %i is a build failure with that code', async (n) => {
    expect(verdict(await job.run(`echo before; exit ${n}`))).toEqual([BUILD_FAILURE, String(n)]);
  });

  it('with status 0 is a success and leaves no exit code of an earlier stage', async () => {
    await job.run('exit 3');
    const result = await job.run('echo fine');
    expect(verdict(result)).toEqual([0, undefined]);
    expect(result.stdout).toBe('fine\n');
    expect(result.stderr).toBe('');
  });

  it.each([
    ['HUP', 129],
    ['INT', 130],
    ['KILL', 137],
    ['SEGV', 139],
    ['PIPE', 141],
    ['TERM', 143],
  ])('by SIG%s is a build failure with code %i', async (signal, code) => {
    const result = await job.run(`kill -${signal} $$; sleep 5`);
    expect(verdict(result)).toEqual([BUILD_FAILURE, String(code)]);
    expect(result.stderr).toContain(`killed by SIG${signal}.`);
  });

  it('by SIGQUIT of a command is a build failure with code 131', async () => {
    // bash itself ignores SIGQUIT (bash(1) "SIGNALS"), its children do not.
    const result = await job.run('sh -c "kill -QUIT \\$\\$"; exit $?');
    expect(verdict(result)).toEqual([BUILD_FAILURE, '131']);
  });

  it('has the default action for SIGPIPE', async () => {
    const result = await job.run(
      'set -o pipefail; grep SigIgn /proc/self/status; yes | head -1; true',
    );
    expect(result.stdout).toBe('SigIgn:\t0000000000000000\ny\n');
    expect(result.stderr).toBe('');
  });

  it('after a re-execution of its init is told truly', async () => {
    const result = await job.run('systemctl daemon-reexec; sleep 2; echo after; exit 9');
    expect(verdict(result)).toEqual([BUILD_FAILURE, '9']);
    expect(result.stdout).toBe('after\n');
  });

  it('by killing the shell that runs it is a build failure, and nothing of it goes on', async () => {
    const result = await job.run('kill -KILL $PPID; sleep 300; echo never');
    expect(verdict(result)).toEqual([BUILD_FAILURE, '137']);
    expect(result.stderr).toContain('was killed by signal 9 from inside the machine');
    expect((await job.run('pgrep -x sleep; true')).stdout).toBe('');
  });

  it('by killing all of the machine that it may is a build failure', async () => {
    const result = await job.run('kill -KILL -1; sleep 300');
    expect(result.status).toBe(BUILD_FAILURE);
  });

  it('leaves the machine running and not degraded', async () => {
    const result = await job.run('systemctl is-system-running');
    expect(result.stdout).toBe('running\n');
  });
});

describe('a machine that goes away under its script', () => {
  async function endedBy(act: (job: DriverJob) => Promise<unknown>, script = 'sleep 300') {
    const job = await DriverJob.create();
    expect((await job.prepare()).status).toBe(0);
    const running = await job.startRun(`echo started; ${script}`);
    await running.says('started');
    await act(job);
    const result = await running.result;
    const left = await leftovers(job);
    const after = await job.run('echo never');
    await job.dispose();
    return { result, left, after };
  }

  it('killed from outside is a system failure that names it, and all of it is gone', async () => {
    const { result, left, after } = await endedBy((job) =>
      host('systemctl', 'kill', '--signal=KILL', job.unit),
    );
    expect(verdict(result)).toEqual([SYSTEM_FAILURE, undefined]);
    expect(result.stderr).toMatch(/Machine "nsr1-\S+" is gone: it was ended from outside the job/);
    expect(left).toEqual([]);
    expect(verdict(after)).toEqual([SYSTEM_FAILURE, undefined]);
    expect(after.stderr).toMatch(/Machine "nsr1-\S+" is gone/);
  });

  it('stopped by the operator is a system failure', async () => {
    const { result } = await endedBy((job) => host('systemctl', 'stop', job.unit));
    expect(verdict(result)).toEqual([SYSTEM_FAILURE, undefined]);
  });

  it('terminated by the operator is a system failure', async () => {
    const { result } = await endedBy((job) => host('machinectl', 'terminate', job.machine));
    expect(verdict(result)).toEqual([SYSTEM_FAILURE, undefined]);
  });

  it.each([
    ['poweroff', 'powered off'],
    ['systemctl poweroff', 'powered off'],
    ['reboot', 'rebooted'],
  ])('%s from inside is a build failure', async (command, words) => {
    const { result, left } = await endedBy(() => Promise.resolve(), `${command}; sleep 300`);
    expect(result.status).toBe(BUILD_FAILURE);
    expect(result.stderr).toContain(`is gone: it ${words} while the script ran.`);
    expect(left).toEqual([]);
  });
});

describe('a machine that does not answer', () => {
  it('tells the end of a script that took the bus away, and fails the next as the system', async () => {
    const job = await DriverJob.create();
    await job.prepare();
    const first = await job.run(
      'systemctl mask --runtime --quiet dbus.socket dbus.service; pkill -KILL dbus-daemon; rm -f /run/dbus/system_bus_socket; sleep 1; exit 5',
    );
    expect(verdict(first)).toEqual([BUILD_FAILURE, '5']);
    const second = await job.run('echo never');
    expect(verdict(second)).toEqual([SYSTEM_FAILURE, undefined]);
    expect(second.stderr).toContain('The script could not be started in machine');
    await job.dispose();
  });

  it('that was never prepared is a system failure', async () => {
    const job = await DriverJob.create();
    const result = await job.run('echo never');
    expect(verdict(result)).toEqual([SYSTEM_FAILURE, undefined]);
    await job.dispose();
  });
});

describe('the machine itself', () => {
  it('goes when its unit goes, with no part of us running', async () => {
    const job = await DriverJob.create();
    await job.prepare();
    expect(await isUp(job)).toBe(true);
    await execa('systemctl', ['kill', '--signal=KILL', job.unit]);
    await waitFor('the unit is gone', async () => !(await isUp(job)));
    expect(await leftovers(job)).toEqual([]);
    await job.dispose();
  });
});
