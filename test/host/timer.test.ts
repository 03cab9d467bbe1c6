/** The reaper as systemd runs it: inside the sandbox of its service, started by its timer. */
import { execa } from 'execa';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { BUNDLE, DriverJob, host, isUp, leftovers, waitFor } from './driver.ts';

const isLab = process.env['NSPAWN_RUNNER_TEST_HOST'] === 'lab';
if (!isLab) console.warn('The tests of the timer install the program and run in lab hosts only.');

const scripts = fileURLToPath(new URL('../../scripts/', import.meta.url));
const TIMER = 'nspawn-runner-reap.timer';
const REAPER = 'nspawn-runner-reap.service';
const SETTINGS = '/etc/nspawn-runner/settings.yaml';
const METRICS = '/var/lib/nspawn-runner-timer-test.prom';
const ESCAPED = 'escaped-from-a-job.service';

/** Runs stages below a runner of their own, which then waits to be killed. */
async function startBelowRunner(job: DriverJob, ...stages: string[][]): Promise<number> {
  const environment = Object.entries(job.env).map(([name, value]) => `${name}=${value}`);
  const done = join(job.tmpDir, 'done');
  const calls = stages.map((stage) => [
    'env',
    '-i',
    ...environment,
    process.execPath,
    BUNDLE,
    ...stage,
  ]);
  const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;
  const script = [
    ...calls.map((call) => `${call.map(quote).join(' ')} >&2 || exit`),
    `touch ${quote(done)}`,
    'exec sleep infinity',
  ].join('\n');
  const runner = execa('sh', ['-c', script], { detached: true, reject: false, cwd: '/' });
  await waitFor('the stages', () => existsSync(done) || runner.exitCode !== null);
  if (!existsSync(done)) throw new Error((await runner).stderr);
  return runner.pid ?? 0;
}

/** A job in full run whose runner is then killed: machine, directory and temporary directory stay. */
async function orphan(): Promise<DriverJob> {
  const job = await DriverJob.create();
  const runner = await startBelowRunner(job, ['config'], ['prepare']);
  process.kill(runner, 'SIGKILL');
  expect(await isUp(job)).toBe(true);
  return job;
}

describe.runIf(isLab)('the reaper as a service', () => {
  const jobs: DriverJob[] = [];

  beforeAll(async () => {
    await execa(`${scripts}install`);
    await execa('systemctl', ['stop', TIMER]);
    await waitFor('the first run', async () => !(await isRunning()));
  });

  afterEach(async () => {
    await execa('systemctl', ['stop', ESCAPED], { reject: false });
    await rm(METRICS, { force: true });
    for (const job of jobs.splice(0)) await job.dispose();
  });

  afterAll(async () => {
    await execa(`${scripts}uninstall`, { reject: false });
    await rm(SETTINGS, { force: true });
  });

  it('removes an orphan of every sort, and leaves a living job alone', async () => {
    const living = await DriverJob.create();
    jobs.push(living);
    await living.prepare();
    const dead = await orphan();
    const mounted = `/run/systemd/nspawn/unix-export/nsr1-${'a'.repeat(8)}-9`;
    await mkdir(mounted, { recursive: true });
    await execa('mount', ['-t', 'tmpfs', 'tmpfs', mounted]);
    await execa('systemd-run', [
      `--unit=${ESCAPED}`,
      '--uid=nobody',
      `--setenv=_CI_JOB_MACHINE=${dead.machine}`,
      '--',
      '/bin/sleep',
      'infinity',
    ]);

    await writeFile(SETTINGS, `metrics_file: ${METRICS}\n`);
    await execa('systemctl', ['start', REAPER]);

    expect(await leftovers(dead)).toEqual([]);
    expect(existsSync(dead.tmpDir)).toBe(false);
    const escaped = await execa('systemctl', ['is-active', ESCAPED], { reject: false });
    expect(escaped.stdout).not.toBe('active');
    expect(await readFile('/proc/1/mountinfo', 'utf8')).not.toContain(mounted);
    expect(existsSync(mounted)).toBe(false);
    expect((await living.run('echo still here')).stdout).toContain('still here');
    expect(existsSync(living.tmpDir)).toBe(true);
    const metrics = await readFile(METRICS, 'utf8');
    expect(metrics).toMatch(
      /^nspawn_runner_reaped_total\{kind="machine",result="removed"\} [1-9]/m,
    );
    expect(metrics).toMatch(/^nspawn_runner_reap_kept\{kind="machine"\} [1-9]/m);
  });

  it('comes with the timer, at once where a run was missed', async () => {
    const dead = await orphan();
    const anHourAgo = Date.now() / 1000 - 3600;
    await utimes(`/var/lib/systemd/timers/stamp-${TIMER}`, anHourAgo, anHourAgo);
    await execa('systemctl', ['start', TIMER]);
    // RandomizedDelaySec= is 30 s.
    await waitFor('the machine to go', async () => !(await isUp(dead)), 120_000);
    await execa('systemctl', ['stop', TIMER]);
    await waitFor('the end of the run', async () => !(await isRunning()));
    expect(await leftovers(dead)).toEqual([]);
    expect(existsSync(dead.tmpDir)).toBe(false);
  });

  it('is in as small a sandbox as the documentation says', async () => {
    const { stdout } = await execa('systemd-analyze', ['security', '--no-pager', REAPER]);
    const exposure = /exposure level for .*: ([\d.]+)/.exec(stdout)?.[1];
    const page = await readFile(new URL('../../docs/security.md', import.meta.url), 'utf8');
    expect(page).toContain(`| \`${REAPER}\` | ${String(exposure)} |`);
  });
});

async function isRunning(): Promise<boolean> {
  return (
    (await host('systemctl', 'show', '--value', '--property=ActiveState', REAPER)) === 'activating'
  );
}
