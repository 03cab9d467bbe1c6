/** A tree is tried as a job gets it, and the host is then as it was, whoever is killed meanwhile. */
import { execa } from 'execa';
import { build } from 'esbuild';
import { chmod, copyFile, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { machineBase, type RecipeSays } from '../../src/machine/machine-base.ts';
import { tryChroot, type TrialResult } from '../../src/machine/trial.ts';
import type { TrialCheck } from '../../src/machine/trial-check.ts';
import { versionsInUse } from '../../src/machine/versions-in-use.ts';
import { defaultSettings } from '../../src/settings.ts';
import { host, waitFor } from './driver.ts';
import { hostState, leftSince } from './host-state.ts';
import { ChrootPlace, type ChrootRequest, type MadeChroot } from './made-chroot.ts';
import { quietHost } from './quiet-host.ts';
import { explain, reap } from './reap.ts';

const source = join(import.meta.dirname, '../../src/machine');

let place: ChrootPlace;
let dir = '';
let good: MadeChroot;

beforeAll(async () => {
  await quietHost();
  place = await ChrootPlace.create();
  dir = await mkdtemp('/var/lib/trial-test-');
  await writeFile(join(dir, 'settings.yaml'), place.settings);
  await writeFile(join(dir, 'runner'), '#!/bin/sh\necho "Version: stub"\n', { mode: 0o755 });
  good = await place.addAside('good');
  await buildTrialProgram();
});
afterAll(async () => {
  await place.dispose();
  await rm(dir, { recursive: true });
});

/** tryChroot as a program of its own, which can be killed. */
async function buildTrialProgram(): Promise<void> {
  const contents = `
    import { machineBase } from './machine-base.ts';
    import { tryChroot } from './trial.ts';
    import { defaultSettings } from '../settings.ts';
    const { stateDir, chroot, checks } = JSON.parse(process.argv[2]);
    const base = machineBase(chroot, defaultSettings(), {});
    const how = { signal: new AbortController().signal, onLine: (line) => console.log(line) };
    tryChroot({ stateDir, base, checks, runnerBinary: undefined }, how);`;
  await build({
    stdin: { contents, resolveDir: source, loader: 'ts' },
    outfile: join(dir, 'trial.cjs'),
    bundle: true,
    platform: 'node',
    format: 'cjs',
    define: { 'import.meta.dirname': '__dirname', 'import.meta.url': 'undefined' },
    logLevel: 'error',
  });
  for (const file of ['boot.sh', 'frame.sh']) await copyFile(join(source, file), join(dir, file));
}

interface Tried extends Partial<TrialResult> {
  readonly error: unknown;
  readonly lines: readonly string[];
  readonly seconds: number;
}

interface Wishes {
  readonly checks?: readonly TrialCheck[];
  readonly says?: RecipeSays;
  readonly runnerBinary?: string;
  readonly signal?: AbortSignal;
  readonly onLine?: (line: string) => void;
}

/** Tries it, and proves that the host is as it was. */
async function tried(chroot: MadeChroot, wishes: Wishes = {}): Promise<Tried> {
  const before = await hostState();
  const lines: string[] = [];
  const startedAt = performance.now();
  const plan = {
    stateDir: place.stateDir,
    base: machineBase(chroot, defaultSettings(), wishes.says ?? {}),
    checks: wishes.checks ?? [],
    runnerBinary: wishes.runnerBinary,
  };
  const onLine = (line: string): void => {
    lines.push(line);
    wishes.onLine?.(line);
  };
  const signal = wishes.signal ?? new AbortController().signal;
  const result = await tryChroot(plan, { signal, onLine }).then(
    (found): Partial<TrialResult> & { error: unknown } => ({ ...found, error: undefined }),
    (error: unknown) => ({ error }),
  );
  const seconds = (performance.now() - startedAt) / 1000;
  expect(await leftSince(before)).toEqual([]);
  await waitFor('the sweep', async () => (await place.leftOfJobs()).length === 0);
  return { ...result, lines, seconds };
}

const changed = (change: ChrootRequest['change']): Promise<MadeChroot> =>
  place.addAside('changed', change === undefined ? {} : { change });

describe('a tree that jobs can use', () => {
  it('passes, and that takes a few times as long as to boot', async () => {
    const ratios: number[] = [];
    for (let i = 0; i < 5; i++) {
      const { error, seconds, ...result } = await tried(good, {
        runnerBinary: join(dir, 'runner'),
      });
      expect(error).toBeUndefined();
      expect(result).toMatchObject({
        systemState: 'running',
        failedUnits: [],
        passed: ['shell', 'git', 'dbus', 'gitlab-runner'],
        failures: [],
      });
      expect(result.bootSec).toBeGreaterThan(0);
      expect(result.lines).toContain('Version: stub');
      console.log(
        `a trial of ${seconds.toFixed(2)} s, ${result.bootSec?.toFixed(2)} s of it to boot`,
      );
      ratios.push(seconds / (result.bootSec ?? 0));
    }
    // The yardstick is the boot: a busy host makes both slow.
    expect(Math.min(...ratios)).toBeLessThan(5);
  });

  it('is a job on the host while it is tried, with a deadline, and its version is in use', async () => {
    let seen: Promise<readonly unknown[]> | undefined;
    const look = async (): Promise<readonly unknown[]> => {
      const { versions, isCertain } = await versionsInUse(place.stateDir);
      const [{ chroot, version, machine } = { machine: '' }] = versions;
      const properties = 'Slice,RuntimeMaxUSec,Description';
      const shown = await host(
        'systemctl',
        'show',
        `--property=${properties}`,
        `${machine}.service`,
      );
      return [isCertain, chroot, version, ...shown.split('\n').sort()];
    };
    const checks = [{ name: 'slow', script: 'echo slow; sleep 1' }];
    const onLine = (line: string): void => {
      if (line === 'slow') seen = look();
    };
    expect((await tried(good, { checks, onLine })).passed).toContain('slow');
    expect(await seen).toEqual([
      true,
      'good',
      good.version,
      `Description=Trial of chroot good, version ${good.version}`,
      expect.stringMatching(/^RuntimeMaxUSec=\d+min/),
      'Slice=nspawn-runner.slice',
    ]);
  });

  it('has the recipe’s user and options, no bind, and no network but a loopback', async () => {
    const checks = [
      { name: 'user', script: '[ "$(id --user --name)" = nobody ]; [ -w "$HOME" ]' },
      { name: 'bash', script: '[[ -n $BASH_VERSION ]]' },
      { name: 'network', script: 'ls /sys/class/net | xargs; [ "$(ls /sys/class/net)" = lo ]' },
      { name: 'bind', script: '[ ! -e /from-the-host ]' },
      { name: 'option', script: 'mountpoint /from-an-option' },
      { name: 'builds', script: '[ -w /builds ] && [ -w /cache ]' },
    ];
    const says: RecipeSays = {
      user: 'nobody',
      network: 'host',
      binds: [{ source: dir, target: '/from-the-host', readOnly: true }],
      nspawnOptions: ['--tmpfs=/from-an-option'],
    };
    const { failures, passed } = await tried(good, { checks, says });
    expect(failures).toEqual([]);
    expect(passed).toEqual(['shell', 'git', 'dbus', ...checks.map(({ name }) => name)]);
  });
});

describe('a tree that jobs cannot use', () => {
  it('tells each check that fails, with what it said last', async () => {
    const checks = [
      { name: 'first', script: 'seq 100; false; echo not reached' },
      { name: 'second', script: 'true' },
      { name: 'third', script: 'printf "no end" >&2; exit 7' },
      { name: 'fourth', script: 'echo "$undefined"' },
    ];
    const { failures, passed } = await tried(good, { checks });
    expect(passed).toEqual(['shell', 'git', 'dbus', 'second']);
    expect(failures?.map(({ name, sentence }) => [name, sentence])).toEqual([
      ['first', 'Check "first" ended with exit status 1.'],
      ['third', 'Check "third" ended with exit status 7.'],
      ['fourth', 'Check "fourth" ended with exit status 1.'],
    ]);
    const [first, third] = failures ?? [];
    expect(first?.lastLines).toEqual(Array.from({ length: 12 }, (_, i) => String(89 + i)));
    expect(third?.lastLines).toEqual(['no end']);
  });

  it('names the units that fail, with their journal', async () => {
    const chroot = await changed(async (tree) => {
      await writeFile(
        join(tree, 'etc/systemd/system/bad.service'),
        '[Service]\nType=oneshot\nExecStart=/bin/sh -c "echo because of this; exit 3"\n',
      );
      const wants = join(tree, 'etc/systemd/system/multi-user.target.wants');
      await symlink('../bad.service', join(wants, 'bad.service'));
    });
    const { systemState, failedUnits, failures, passed } = await tried(chroot);
    expect([systemState, failedUnits, passed]).toEqual([
      'degraded',
      ['bad.service'],
      ['shell', 'git', 'dbus'],
    ]);
    expect(failures?.map(({ sentence }) => sentence)).toEqual([
      'The machine is "degraded": "bad.service" failed.',
    ]);
    expect(failures?.[0]?.lastLines.join('\n')).toContain('because of this');
  });

  it('lacks git', async () => {
    const chroot = await changed((tree) => rm(join(tree, 'usr/bin/git')));
    const { failures } = await tried(chroot);
    expect(failures?.map(({ sentence }) => sentence)).toEqual([
      'Check "git" ended with exit status 127.',
    ]);
  });

  it('has no message bus', async () => {
    const chroot = await changed(async (tree) => {
      for (const unit of ['dbus.service', 'dbus.socket']) {
        const path = join(tree, 'etc/systemd/system', unit);
        await symlink('/dev/null', path);
      }
    });
    const { systemState, failures, passed } = await tried(chroot);
    expect([systemState, passed]).toEqual(['unknown', []]);
    expect(failures?.map(({ sentence }) => sentence)).toEqual([
      'The init of the machine does not answer on the system bus.',
    ]);
  });

  it('has no such shell, or no such user', async () => {
    const noShell = await changed((tree) => rm(join(tree, 'usr/bin/bash')));
    expect((await tried(noShell)).error).toMatchObject({
      message: 'The chroot has no shell "bash".',
    });
    expect((await tried(good, { says: { user: 'ci' } })).error).toMatchObject({
      message: 'User "ci" does not exist in the chroot.',
    });
  });

  it('does not boot, which is told with the last words of its console', async () => {
    const chroot = await changed(async (tree) => {
      await rename(join(tree, 'usr/lib/systemd/systemd'), join(tree, 'usr/lib/systemd/not'));
      await writeFile(
        join(tree, 'usr/lib/systemd/systemd'),
        '#!/bin/sh\necho my last words\nexit 1\n',
      );
      await chmod(join(tree, 'usr/lib/systemd/systemd'), 0o755);
    });
    const { error } = await tried(chroot);
    expect(error).toMatchObject({ name: 'HostError' });
    expect((error as Error).message).toContain('did not become ready');
    expect((error as { details: string[] }).details.join('\n')).toContain('my last words');
  });

  it('powers off in a check: what comes after is not tried', async () => {
    const checks = [
      { name: 'off', script: 'systemctl poweroff; sleep 60' },
      { name: 'after', script: 'true' },
    ];
    const { failures, passed } = await tried(good, { checks });
    expect(passed).toEqual(['shell', 'git', 'dbus']);
    expect(failures?.map(({ name }) => name)).toEqual(['off']);
    expect(failures?.[0]?.sentence).toContain('powered off while the script ran');
  });
});

describe('a trial that is stopped', () => {
  it.each([0, 150, 300, 600, 900])('after %i ms leaves nothing', async (afterMs) => {
    const checks = [{ name: 'long', script: 'sleep 300' }];
    const { error, seconds } = await tried(good, { checks, signal: AbortSignal.timeout(afterMs) });
    expect(error).toMatchObject({ name: 'Stopped' });
    expect(seconds).toBeLessThan(100);
  });
});

describe('a trial whose process is killed', () => {
  const settings = (): string => `--settings=${join(dir, 'settings.yaml')}`;

  async function killedTrial(isTime: (output: string) => boolean, afterMs: number): Promise<void> {
    const { stateDir } = place;
    const checks = [{ name: 'long', script: 'sleep 300' }];
    const plan = JSON.stringify({ stateDir, chroot: good, checks });
    const child = execa(process.execPath, [join(dir, 'trial.cjs'), plan], { reject: false });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    await waitFor('the moment', () => isTime(output) || child.exitCode !== null);
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    if (child.pid !== undefined) process.kill(child.pid, 'SIGKILL');
    const { signal } = await child;
    expect(signal).toBe('SIGKILL');
  }

  const isBegun = (): boolean => true;
  const isChecking = (output: string): boolean => output.includes('Check "long"');

  it('is told of as a trial by a dry run, and is gone after one run of the reaper', async () => {
    const before = await hostState();
    await killedTrial(isChecking, 100);
    const look = await reap({ dryRun: true, args: [settings()] });
    const [machine] = look.report.items.filter(({ kind }) => kind === 'machine');
    expect(machine?.result, explain(look.report.items)).toBe('would-remove');
    expect(machine?.reason).toBe('a trial of chroot "good" that was cut off');
    const { status, report } = await reap({ args: [settings()] });
    expect(status, explain(report.items)).toBe(0);
    expect(await leftSince(before), explain(report.items)).toEqual([]);
    expect(await place.leftOfJobs()).toEqual([]);
  });

  it.each([10, 40, 70, 100, 150, 200, 300, 400, 500, 700])(
    '%i ms after it was started: one run of the reaper takes it',
    async (afterMs) => {
      const before = await hostState();
      await killedTrial(isBegun, afterMs);
      const { status, report } = await reap({ args: [settings()] });
      expect(status, explain(report.items)).toBe(0);
      expect(await leftSince(before), explain(report.items)).toEqual([]);
      expect(await place.leftOfJobs(), explain(report.items)).toEqual([]);
    },
  );

  it('is not touched while the process lives', async () => {
    const checks = [{ name: 'slow', script: 'echo slow; sleep 4' }];
    let reaped: ReturnType<typeof reap> | undefined;
    const onLine = (line: string): void => {
      if (line === 'slow') reaped = reap({ args: [settings()] });
    };
    const { passed } = await tried(good, { checks, onLine });
    expect(passed).toContain('slow');
    const items = (await reaped)?.report.items ?? [];
    expect(items.map(({ result }) => result)).toEqual(['kept']);
    expect(items[0]?.reason).toBe('it is a trial of chroot "good"');
  });
});
