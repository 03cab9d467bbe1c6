/**
 * A host that loses power with jobs in every stage, and what it has of them after the next boot.
 * scripts/power-loss runs the first half, cuts the power, boots the same disk again, and runs the
 * second half. Where nobody does that, both are skipped, and what a boot would find is planted.
 */
import { execa } from 'execa';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { DriverJob, host, STATE_DIR, waitFor } from './driver.ts';
import { newProject } from './host-job.ts';
import { difference, hostState, leftSince, type HostState } from './host-state.ts';
import { explain, reap } from './reap.ts';
import {
  killedRunner,
  removeRoots,
  startSeparateRunner,
  type SeparateRunner,
} from './separate-runner.ts';

const HALF = process.env['NSPAWN_RUNNER_POWER'];
if (HALF === undefined) console.warn('Nobody cuts the power here: scripts/power-loss does.');

const MEMORY = '/var/lib/power-loss-test';
/** Of the host's disk, where /tmp may be in memory. */
const TMP_ROOT = '/var/tmp/host-job-power-loss';
const SETTLE_MS = 60_000;

interface Remembered {
  readonly state: HostState;
  readonly machines: readonly string[];
  /** Lines of what the jobs had on disk when the power went. */
  readonly onDisk: readonly string[];
}

describe.runIf(HALF === 'cut')('before the power goes', () => {
  it('jobs are in every stage', async () => {
    await hasten();
    const first = await DriverJob.create();
    await first.prepare();
    await first.dispose();
    await mkdir(join(STATE_DIR, 'cache/power-loss'), { recursive: true });
    await mkdir(TMP_ROOT, { recursive: true });
    const state = await hostState();
    const runners = await Promise.all([job('sleep 1000'), job('sleep 1000'), job('sleep 3')]);
    await Promise.all(runners.map((runner) => runner.says(/^begun$/m)));
    // These are at their beginning when the others are in their scripts.
    const late = [await job('true'), await job('true')];
    await waitFor('a later job begins', () => late.every(({ directory }) => existsSync(directory)));
    const onDisk = difference(state, await hostState()).filter((line) =>
      / (state|temp-dir): /.test(line),
    );
    const machines = [...runners, ...late].map(({ machine }) => machine);
    await remember({ state, machines, onDisk });
    // Here the power goes.
    await new Promise(() => undefined);
  }, 600_000);
});

describe.runIf(HALF === 'back')('when the power is back', () => {
  it('the boot takes all that the jobs had on disk, and nothing else', async () => {
    const { state, machines, onDisk } = JSON.parse(
      await readFile(join(MEMORY, 'state.json'), 'utf8'),
    ) as Remembered;
    expect(onDisk.filter((line) => line.includes('state: '))).not.toEqual([]);
    expect(onDisk.filter((line) => line.includes('temp-dir: '))).not.toEqual([]);
    // Started by its timer, and by nobody else.
    await waitFor('the reaper has run', async () => (await reaperExit()) !== '', SETTLE_MS);
    expect(await reaperExit()).toBe('success');
    const after = await hostState();
    const ours = (line: string): boolean =>
      machines.some((machine) => line.includes(machine)) || line.includes('custom-executor');
    expect(difference(state, after).filter(ours)).toEqual([]);
    // A fresh boot has no trace of a failure either.
    expect(after.state).toEqual(state.state);
    expect(after['temp-dir']).toEqual(state['temp-dir']);
    expect(after.unit.filter((line) => line.includes('failed'))).toEqual([]);
    expect(existsSync(join(STATE_DIR, 'cache/power-loss'))).toBe(true);
    const next = await DriverJob.create();
    expect((await next.prepare()).status).toBe(0);
    expect((await next.run('echo on')).stdout).toBe('on\n');
    await next.dispose();
  });
});

describe.runIf(HALF === undefined)('what a loss of power leaves on disk, planted', () => {
  const config = join(import.meta.dirname, '../../systemd/tmpfiles.d/nspawn-runner.conf');

  beforeAll(async () => {
    const first = await DriverJob.create();
    await first.prepare();
    await first.dispose();
  });

  it('is cleared by the boot, and all stays that outlives jobs', async () => {
    const before = await hostState();
    const planted = await plantPowerLoss();
    expect(difference(before, await hostState()).length).toBeGreaterThanOrEqual(3);
    await host('systemd-tmpfiles', '--boot', '--remove', config);
    const { status, report } = await reap();
    expect(await leftSince(before), explain(report.items)).toEqual([]);
    expect(status, explain(report.items)).toBe(0);
    for (const path of planted.kept) expect(existsSync(path), path).toBe(true);
    for (const path of planted.kept) await rm(path, { recursive: true });
  });

  it('is cleared by the reaper alone, where tmpfiles has not run', async () => {
    const before = await hostState();
    const planted = await plantPowerLoss();
    const { status, report } = await reap();
    expect(await leftSince(before), explain(report.items)).toEqual([]);
    expect(status, explain(report.items)).toBe(0);
    for (const path of planted.kept) await rm(path, { recursive: true });
  });
});

/**
 * What a disk holds when power is lost in the middle of a job: its directory with a record of
 * another boot, the Runner's directory, half of a chroot build, trash; and, to be kept, a cache.
 */
async function plantPowerLoss(): Promise<{ readonly kept: readonly string[] }> {
  const runner = await killedRunner(
    { stage: 'build_script', afterMs: 1_000 },
    'driver and runner',
    'sleep 300',
  );
  const aside = await mkdtemp(join(tmpdir(), 'power-loss-'));
  const job = { record: '', tmpDir: '' };
  job.record = await readFile(join(runner.directory, 'record.json'), 'utf8');
  ({ tmpDir: job.tmpDir } = JSON.parse(job.record) as { tmpDir: string });
  await cp(job.tmpDir, join(aside, 'tmp'), { recursive: true });
  await host('systemctl', 'stop', runner.unit);
  await waitFor('the machine is gone', () => !existsSync(runner.directory));
  await removeRoots([runner]);
  // Its own directory, as PID 1 did not get to move it away.
  await mkdir(join(runner.directory, 'upper/etc'), { recursive: true });
  await writeFile(join(runner.directory, 'record.json'), ofAnotherBoot(job.record), {
    mode: 0o600,
  });
  const root = join(tmpdir(), basename(job.tmpDir));
  const atRoot = (text: string): string => text.replaceAll(job.tmpDir, root);
  await cp(join(aside, 'tmp'), root, { recursive: true });
  const mark = join(root, '.nspawn-runner.json');
  if (existsSync(mark)) {
    await writeFile(mark, atRoot(ofAnotherBoot(await readFile(mark, 'utf8'))), { mode: 0o600 });
  }
  const record = join(runner.directory, 'record.json');
  await writeFile(record, atRoot(await readFile(record, 'utf8')), { mode: 0o600 });
  await mkdir(join(STATE_DIR, 'trash', `${runner.machine}-0123abcd`, 'upper'), { recursive: true });
  const cache = join(STATE_DIR, 'cache/power-loss');
  await mkdir(cache, { recursive: true });
  const yesterday = Date.now() / 1000 - 86_400;
  for (const path of [root, runner.directory]) await utimes(path, yesterday, yesterday);
  await rm(aside, { recursive: true });
  return { kept: [cache] };
}

function ofAnotherBoot(text: string): string {
  return text.replaceAll(/"bootId":\s*"[^"]*"/g, `"bootId": "${randomUUID()}"`);
}

/** The boot run comes 20 s after the boot, and up to 30 s later; here at once. */
async function hasten(): Promise<void> {
  const directory = '/etc/systemd/system/nspawn-runner-reap.timer.d';
  await mkdir(directory, { recursive: true });
  const lines = ['[Timer]', 'OnBootSec=', 'OnCalendar=', 'OnBootSec=3s', 'RandomizedDelaySec=0'];
  await writeFile(join(directory, 'test.conf'), `${lines.join('\n')}\n`);
  await host('systemctl', 'daemon-reload');
}

function job(command: string): Promise<SeparateRunner> {
  return startSeparateRunner({
    job: {
      ...{ tmpRoot: TMP_ROOT, script: [`echo begun; ${command}`] },
      program: ['/usr/local/bin/nspawn-runner'],
      variables: { CI_PROJECT_ID: String(newProject()) },
    },
  });
}

async function remember(what: Remembered): Promise<void> {
  await mkdir(MEMORY, { recursive: true });
  await writeFile(join(MEMORY, 'state.json'), JSON.stringify(what));
  await host('sync', '--file-system', MEMORY);
  // scripts/power-loss waits for this one.
  await writeFile(join(MEMORY, 'ready'), '');
}

/** `Result=` of a run that has ended since the boot; empty before. */
async function reaperExit(): Promise<string> {
  const unit = 'nspawn-runner-reap.service';
  const show = async (property: string): Promise<string> =>
    (await execa('systemctl', ['show', `--property=${property}`, '--value', unit])).stdout.trim();
  return (await show('ExecMainExitTimestampMonotonic')) === '0' ? '' : show('Result');
}
