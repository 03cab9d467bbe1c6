/** scripts/install on a host that runs, and what systemd makes of it. */
import {
  appendFile,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { STATE_DIR, waitFor } from './driver.ts';
import { hasLoopFileSystems, makeLoopFileSystem, type LoopFileSystem } from './loop-fs.ts';

const isLab = process.env['NSPAWN_RUNNER_TEST_HOST'] === 'lab';
if (!isLab)
  console.warn('The tests of scripts/install change /usr/local and run in lab hosts only.');

const hasDisks = isLab && (await hasLoopFileSystems());
const scripts = fileURLToPath(new URL('../../scripts/', import.meta.url));
const RUNNER_UNIT = '/run/systemd/system/gitlab-runner.service';
const JOB = 'nsr1-aaaaaaaa-1.service';
const TIMER = 'nspawn-runner-reap.timer';
const REAPER = 'nspawn-runner-reap.service';
const CHROOTS_TIMER = 'nspawn-runner-chroots.timer';
const CHROOTS = 'nspawn-runner-chroots.service';
const SETTINGS = '/etc/nspawn-runner/settings.yaml';

async function show(unit: string, property: string): Promise<string> {
  const { stdout } = await execa('systemctl', ['show', '--value', `--property=${property}`, unit]);
  return stdout;
}

/** Whether the timer is enabled and whether it runs, in systemctl's words. */
async function timerState(timer = TIMER): Promise<string> {
  const states = await Promise.all(
    ['is-enabled', 'is-active'].map((verb) => execa('systemctl', [verb, timer], { reject: false })),
  );
  return states.map(({ stdout }) => stdout).join(', ');
}

/** The settings name a state directory with one recipe; where it is, an overlay can be mounted. */
async function withOwnChroot(work: (recipe: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(`${STATE_DIR}/install-test-`);
  const settings = await readFile(SETTINGS, 'utf8');
  try {
    const tree = `${STATE_DIR}/chroots/debian-13/current/tree`;
    await execa('tar', ['--create', `--file=${dir}/small.tar`, `--directory=${tree}`, '.']);
    await mkdir(`${dir}/recipes`);
    const recipe = `${dir}/recipes/small.yaml`;
    await writeFile(recipe, `tar: {location: ${dir}/small.tar}\n`);
    await writeFile(SETTINGS, `state_dir: ${dir}/state\nrecipe_dirs: [${dir}/recipes]\n`);
    await work(recipe);
  } finally {
    await writeFile(SETTINGS, settings);
    await execa('rm', ['--recursive', '--force', '--one-file-system', '--', dir]);
  }
}

describe.runIf(isLab)('scripts/install', () => {
  beforeAll(async () => {
    await writeFile(RUNNER_UNIT, '[Service]\nExecStart=/bin/sleep infinity\n');
    await execa(`${scripts}install`);
  });

  afterAll(async () => {
    await execa('systemctl', ['stop', JOB], { reject: false });
    await execa(`${scripts}uninstall`, { reject: false });
    await rm(RUNNER_UNIT, { force: true });
    await execa('systemctl', ['daemon-reload']);
  });

  it('puts the slice where systemd finds it', async () => {
    expect(await show('nspawn-runner.slice', 'FragmentPath')).toBe(
      '/usr/local/lib/systemd/system/nspawn-runner.slice',
    );
  });

  it('makes a stop of GitLab Runner drain', async () => {
    // 3 is SIGQUIT, signal(7).
    const properties = ['KillMode', 'KillSignal', 'TimeoutStopUSec'];
    const values = await Promise.all(properties.map((name) => show('gitlab-runner.service', name)));
    expect(values).toEqual(['mixed', '3', '2h']);
  });

  it('gives a program that finds this host fit', async () => {
    const { stdout } = await execa('/usr/local/bin/nspawn-runner', ['check', '--json']);
    const findings = JSON.parse(stdout) as { level: string; object: string }[];
    const fit = findings.filter(({ level }) => level === 'ok').map(({ object }) => object);
    expect(fit).toEqual(
      expect.arrayContaining([
        'systemd',
        'systemd-nspawn',
        'machined',
        'overlay',
        'chroots',
        'gitlab-runner.service',
        'nspawn-runner.slice',
      ]),
    );
  });

  it('enables the timer of the reaper, which runs at once on a host that is up', async () => {
    expect(await timerState()).toBe('enabled, active');
    expect(await show(TIMER, 'Persistent')).toBe('yes');
    expect(await show(TIMER, 'NextElapseUSecRealtime')).not.toBe('');
    // OnBootSec= and RandomizedDelaySec= together.
    const hasRun = async (): Promise<boolean> =>
      (await show(REAPER, 'ExecMainExitTimestamp')) !== '';
    await waitFor('the run', hasRun, 150_000);
    expect(await show(REAPER, 'Result')).toBe('success');
    const { stdout } = await execa('/usr/local/bin/nspawn-runner', ['check']);
    expect(stdout).toMatch(/^ok +nspawn-runner-reap\.timer +last run ended /m);
  });

  it('leaves a timer that was disabled or masked as it is, and takes it up again by hand', async () => {
    await execa('systemctl', ['disable', '--now', TIMER]);
    await execa(`${scripts}install`);
    expect(await timerState()).toBe('disabled, inactive');
    await execa('systemctl', ['mask', TIMER]);
    await execa(`${scripts}install`);
    expect(await timerState()).toBe('masked, inactive');
    await execa('systemctl', ['unmask', TIMER]);
    await execa('systemctl', ['enable', '--now', TIMER]);
    await execa(`${scripts}install`);
    expect(await timerState()).toBe('enabled, active');
  });

  it('enables the timer of the chroots, which updates them at night', async () => {
    expect(await timerState(CHROOTS_TIMER)).toBe('enabled, active');
    expect(await show(CHROOTS_TIMER, 'NextElapseUSecRealtime')).toMatch(/ 0[2-5]:/);
    await withOwnChroot(async (recipe) => {
      await execa('/usr/local/bin/nspawn-runner', ['chroot', 'create', 'small']);
      await appendFile(recipe, 'files: [{path: /etc/stamp, content: second}]\n');
      await execa('systemctl', ['start', CHROOTS]);
      expect(await show(CHROOTS, 'Result')).toBe('success');
      const { stdout: log } = await execa('journalctl', [`--unit=${CHROOTS}`, '--output=cat']);
      expect(log).toMatch(/^small: version \S+ is current after /m);
      const { stdout } = await execa('/usr/local/bin/nspawn-runner', ['check']);
      expect(stdout).toMatch(/^ok +nspawn-runner-chroots\.timer +last run ended /m);
    });
  });

  it('removes at boot, and only then, what a loss of power left', async () => {
    const left = [`${STATE_DIR}/jobs/nsr1-aaaaaaaa-2/upper`, `${STATE_DIR}/trash/nsr1-aaaaaaaa-3`];
    for (const path of left) await mkdir(path, { recursive: true });
    const tmpfiles = (...args: string[]) =>
      execa('systemd-tmpfiles', ['--create', '--remove', ...args, 'nspawn-runner.conf']);
    await tmpfiles();
    expect(await readdir(`${STATE_DIR}/jobs`)).toContain('nsr1-aaaaaaaa-2');
    await tmpfiles('--boot');
    expect(await readdir(`${STATE_DIR}/jobs`)).not.toContain('nsr1-aaaaaaaa-2');
    expect(await readdir(`${STATE_DIR}/trash`)).not.toContain('nsr1-aaaaaaaa-3');
    expect(await readdir(STATE_DIR)).toContain('chroots');
  });

  it('is not purged, and goes on, while something is mounted in the state directory', async () => {
    const dir = await mkdtemp(`${STATE_DIR}/install-test-`);
    await execa('mount', ['-t', 'tmpfs', 'install-test', dir]);
    try {
      const refused = await execa(`${scripts}uninstall`, ['--purge'], { reject: false });
      expect(refused.exitCode).toBe(1);
      expect(refused.stderr).toContain(`uninstall: something is mounted on ${STATE_DIR}/`);
    } finally {
      await execa('umount', [dir]);
      await rm(dir, { recursive: true });
    }
    expect(await timerState()).toBe('enabled, active');
  });

  it('is not undone while a job runs', async () => {
    const slice = '--slice=nspawn-runner.slice';
    await execa('systemd-run', [`--unit=${JOB}`, slice, '--', '/bin/sleep', '60']);
    const refused = await execa(`${scripts}uninstall`, { reject: false });
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain(`uninstall: these jobs run: ${JOB}. Stop GitLab Runner`);
    await execa('systemctl', ['stop', JOB]);
    const { stdout } = await execa(`${scripts}uninstall`);
    expect(stdout).toContain('nspawn-runner is removed from /usr/local.');
    expect(await show('nspawn-runner.slice', 'FragmentPath')).toBe('');
    for (const unit of [TIMER, REAPER, CHROOTS_TIMER, CHROOTS]) {
      expect(await show(unit, 'FragmentPath')).toBe('');
      expect(await show(unit, 'ActiveState')).toBe('inactive');
    }
    expect(await readdir('/etc/systemd/system/timers.target.wants')).not.toContain(TIMER);
    expect(await readdir('/var/lib/systemd/timers')).not.toContain(`stamp-${TIMER}`);
    expect(await show('gitlab-runner.service', 'KillMode')).toBe('control-group');
  });
});

describe.runIf(hasDisks)('scripts/uninstall --purge', () => {
  let disk: LoopFileSystem;
  let destdir = '';
  let state = '';
  const script = (name: 'install' | 'uninstall', args: string[] = [], env = {}) =>
    execa(`${scripts}${name}`, args, { env: { DESTDIR: destdir, ...env }, reject: false });
  const purge = (env = {}) => script('uninstall', ['--purge'], env);
  const entries = async (): Promise<string[]> =>
    (await readdir(destdir, { recursive: true })).sort();
  /** A tree as a build makes it, and in it what a job or a recipe may make. */
  const makeTrees = async (): Promise<void> => {
    const tree = `${state}/chroots/a/current/tree`;
    await mkdir(`${state}/chroots/a/current`, { recursive: true });
    for (const subvolume of [tree, `${tree}/nested`, `${tree}/nested/-with\n \\blanks`]) {
      await execa('btrfs', ['subvolume', 'create', '--', subvolume]);
      await writeFile(`${subvolume}/file`, '');
      await symlink(join(disk.path, 'other'), `${subvolume}/link`);
    }
  };

  beforeAll(async () => {
    disk = await makeLoopFileSystem('btrfs', 1);
  });
  afterAll(() => disk.remove());

  beforeEach(async () => {
    destdir = await mkdtemp(join(disk.path, 'host-'));
    state = join(destdir, STATE_DIR);
    await execa('btrfs', ['subvolume', 'create', join(disk.path, 'other')]);
    await writeFile(join(disk.path, 'other/file'), '');
    await script('install');
    await mkdir(state, { recursive: true });
  });
  afterEach(async () => {
    // Whatever is purged, nothing is followed to another place.
    expect(await readdir(join(disk.path, 'other'))).toEqual(['file']);
    await execa('btrfs', ['subvolume', 'delete', join(disk.path, 'other')]);
    await rm(destdir, { recursive: true, force: true });
    const { stdout } = await execa('btrfs', ['subvolume', 'list', disk.path]);
    expect(stdout).toBe('');
  });

  it.each(['with', 'without'])('removes subvolumes, %s the tool', async (which) => {
    await makeTrees();
    // Only the tool can remove this one.
    if (which === 'with')
      await execa('btrfs', [
        'subvolume',
        'snapshot',
        '-r',
        join(disk.path, 'other'),
        `${state}/read-only`,
      ]);
    const bin = await mkdtemp('/tmp/install-test-');
    await writeFile(`${bin}/btrfs`, '#!/bin/sh\nexit 127\n', { mode: 0o755 });
    const path = process.env['PATH'] ?? '';
    const ended = await purge(which === 'with' ? {} : { PATH: `${bin}:${path}` });
    await rm(bin, { recursive: true });
    expect([ended.exitCode, ended.stderr]).toEqual([0, '']);
    expect(ended.stdout).toBe(`nspawn-runner is removed from ${destdir}/usr/local.`);
    expect(await entries()).toEqual(['var', 'var/lib']);
  });

  it('empties a state directory that is a mount point, and keeps it', async () => {
    const own = await mkdtemp(join(disk.path, 'own-'));
    await execa('mount', ['--bind', own, state]);
    try {
      await makeTrees();
      await writeFile(`${state}/.hidden`, '');
      const ended = await purge();
      expect([ended.exitCode, ended.stderr]).toEqual([0, '']);
      expect(ended.stdout).toBe(
        `nspawn-runner is removed from ${destdir}/usr/local. Emptied and kept, because it is a mount point: ${STATE_DIR}.`,
      );
      expect(await readdir(own)).toEqual([]);
      await script('install');
      const again = await script('uninstall');
      expect([again.exitCode, again.stderr]).toEqual([0, '']);
      expect(again.stdout).toContain(`Kept, because it is yours: ${STATE_DIR}`);
    } finally {
      await execa('umount', [state]);
      await execa('rm', ['--recursive', own]);
    }
  });

  it('refuses before anything is removed where something is mounted below', async () => {
    await makeTrees();
    const cache = `${state}/my cache`;
    await mkdir(cache);
    await execa('mount', ['--bind', join(disk.path, 'other'), cache]);
    try {
      const before = await entries();
      const refused = await purge();
      expect(refused.exitCode).toBe(1);
      expect(refused.stderr).toBe(
        `uninstall: something is mounted on ${cache}. Unmount it (umount '${cache}'), then run scripts/uninstall --purge again`,
      );
      expect(await entries()).toEqual(before);
    } finally {
      await execa('umount', [cache]);
    }
    expect((await purge()).exitCode).toBe(0);
    expect(await entries()).toEqual(['var', 'var/lib']);
  });

  it('says what to do when something cannot be removed, and then does the rest', async () => {
    await makeTrees();
    const file = `${state}/file`;
    await writeFile(file, '');
    await execa('chattr', ['+i', file]);
    try {
      const failed = await purge();
      expect(failed.exitCode).toBe(1);
      expect(failed.stderr.split('\n')).toEqual([
        `rm: cannot remove '${file}': Operation not permitted`,
        'uninstall: not all is removed: rm says above what is in the way. Mend that, then run scripts/uninstall again in the same way, which does the rest',
      ]);
    } finally {
      await execa('chattr', ['-i', file]);
    }
    expect((await purge()).exitCode).toBe(0);
    expect(await entries()).toEqual(['var', 'var/lib']);
  });

  it('removes a link to the state, and leaves what it leads to', async () => {
    await rm(state, { recursive: true });
    await symlink(join(disk.path, 'other'), state);
    const { stdout } = await purge();
    expect(stdout).toContain(`Kept, because it is yours: ${join(disk.path, 'other')}`);
    expect(await entries()).toEqual(['var', 'var/lib']);
  });
});
