/** Chroots from a recipe: what a build leaves when it succeeds, fails or dies, and that it boots. */
import { execa } from 'execa';
import { existsSync } from 'node:fs';
import { chmod, lstat, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { findChroot, type Chroot } from '../../src/chroot/store.ts';
import { BUNDLE, waitFor } from './driver.ts';

/** A build fetches packages, and two at a time share what the machine has. */
vi.setConfig({ testTimeout: 400_000 });

const MACHINE = `chroot-test-${process.pid}`;
const RECIPE = `
debian: {suite: bookworm, apt_options: ['Acquire::Retries "0"']}
packages: [systemd, systemd-sysv, dbus, bash, git, ca-certificates]
environment: {GREETING: 'a "b" 100%'}
files:
  - {path: /var/run/from-recipe, content: 'through a link'}
  - {path: /usr/local/bin/hello, content: "#!/bin/sh\\necho hello\\n", mode: '0755'}
  - {path: /etc/sysusers.d/worker.conf, content: "u worker 777\\n"}
  - path: /etc/systemd/system/from-recipe.service
    content: |
      [Service]
      Type=oneshot
      RemainAfterExit=yes
      ExecStart=/usr/local/bin/hello
      [Install]
      WantedBy=multi-user.target
mask: [apt-daily.timer, multi-user.target.wants/systemd-logind.service]
enable: [from-recipe.service]
`;

let dir = '';
let stateDir = '';

beforeAll(async () => {
  dir = await mkdtemp('/var/lib/chroot-test-');
  // Beside the host's own state: an overlay's upper layer cannot be on an overlay.
  await chmod(dir, 0o755);
  stateDir = join(dir, 'state');
  await mkdir(join(dir, 'recipes'));
  await writeFile(
    join(dir, 'settings.yaml'),
    `state_dir: ${stateDir}\nrecipe_dirs: [${join(dir, 'recipes')}]\n`,
  );
  await writeRecipe(RECIPE);
});
afterAll(async () => {
  await execa('rm', ['--recursive', '--force', '--one-file-system', '--', dir]);
});

async function writeRecipe(text: string): Promise<void> {
  await writeFile(join(dir, 'recipes/small.yaml'), text);
}

interface Ended {
  readonly exitCode?: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

interface Running {
  readonly kill: (signal: NodeJS.Signals) => void;
  readonly ended: Promise<Ended>;
}

function start(...args: string[]): Running {
  const settings = `--settings=${join(dir, 'settings.yaml')}`;
  const child = execa(process.execPath, [BUNDLE, 'chroot', ...args, settings], {
    reject: false,
    // On a slow disk what it made takes a while to go.
    forceKillAfterDelay: false,
  });
  return { kill: (signal) => void child.kill(signal), ended: child };
}

const chroot = (...args: string[]): Promise<Ended> => start(...args).ended;

/** What is in the chroot's directory, less what every build leaves there. */
async function unfinished(): Promise<string[]> {
  const known = ['build.lock', 'build.log', 'current', 'versions'];
  return (await readdir(join(stateDir, 'chroots/small'))).filter((name) => !known.includes(name));
}

async function processesOf(): Promise<string[]> {
  const { stdout } = await execa('ps', ['-eo', 'args']);
  return stdout.split('\n').filter((line) => line.includes(stateDir));
}

/** A build that has come so far that mmdebstrap has mounted /proc in the tree and dpkg works. */
async function buildInTheMiddle(): Promise<Running> {
  const logFile = join(stateDir, 'chroots/small/build.log');
  await rm(logFile, { force: true });
  const build = start('create', 'small');
  const isUnpacking = async (): Promise<boolean> =>
    (await readFile(logFile, 'utf8').catch(() => '')).includes('Unpacking');
  await waitFor('packages to be unpacked', isUnpacking, 180_000);
  return build;
}

async function current(): Promise<Chroot> {
  const found = await findChroot(stateDir, 'small');
  if (found === undefined) throw new Error('There is no current version.');
  return found;
}

it('a mirror that cannot be reached is told with its lines, and nothing is left', async () => {
  await writeRecipe(
    RECIPE.replace('apt_options', 'mirror: "http://127.0.0.1:9/debian", apt_options'),
  );
  const { exitCode, stderr } = await chroot('create', 'small');
  await writeRecipe(RECIPE);
  expect(exitCode).toBe(1);
  expect(stderr).toContain('Chroot "small" was not made: mmdebstrap ended with exit status ');
  expect(stderr).toContain('Could not connect to 127.0.0.1:9');
  expect(stderr).toContain(`All of its output is in "${stateDir}/chroots/small/build.log".`);
  expect(await unfinished()).toEqual([]);
  expect(await findChroot(stateDir, 'small')).toBeUndefined();
});

it('a killed build leaves neither mounts nor processes, and no chroot', async () => {
  const build = await buildInTheMiddle();
  build.kill('SIGKILL');
  await build.ended;
  await waitFor('its processes to end', async () => (await processesOf()).length === 0);
  expect(await readFile('/proc/self/mountinfo', 'utf8')).not.toContain(dir);
  expect(await findChroot(stateDir, 'small')).toBeUndefined();
  expect(await unfinished()).not.toEqual([]);
});

it('the next build sweeps it, and refuses another beside itself', async () => {
  const build = await buildInTheMiddle();
  const { exitCode, stderr } = await chroot('create', 'small');
  expect(exitCode).toBe(1);
  expect(stderr).toContain('Chroot "small" is being built already.');
  expect((await build.ended).exitCode).toBe(0);
  expect(await unfinished()).toEqual([]);
  const { version, path } = await current();
  expect(path).toBe(join(stateDir, 'chroots/small/versions', version, 'tree'));
  const record = JSON.parse(await readFile(join(path, '../version.json'), 'utf8')) as unknown;
  expect(record).toMatchObject({
    ...{ format: 2, name: 'small', version, origin: 'build', keep: 1 },
    environment: { GREETING: 'a "b" 100%' },
    trial: {
      state: 'running',
      checks: expect.arrayContaining(['shell', 'git', 'dbus']) as unknown,
    },
  });
  const { mode } = await lstat(join(stateDir, 'chroots/small/build.log'));
  expect(mode & 0o777).toBe(0o600);
});

it('a build that is told to stop leaves the current version as it is', async () => {
  const before = await current();
  const build = await buildInTheMiddle();
  build.kill('SIGTERM');
  const { exitCode, stderr } = await build.ended;
  expect(exitCode).toBe(1);
  expect(stderr).toContain('The work on chroot "small" was stopped; jobs use what they used.');
  expect(await current()).toEqual(before);
  expect(await unfinished()).toEqual([]);
  expect(await processesOf()).toEqual([]);
});

it('--if-missing leaves it alone, and list shows it', async () => {
  const { version, path } = await current();
  const { exitCode, stderr } = await chroot('create', '--if-missing', 'small');
  expect([exitCode, stderr]).toEqual([0, `small: version ${version} is there already`]);
  const { stdout } = await chroot('list', '--json');
  expect(JSON.parse(stdout)).toMatchObject([{ name: 'small', version, path }]);
});

it('the tree holds nothing of the host that built it', async () => {
  const { path } = await current();
  const { mode, uid } = await lstat(path);
  expect([mode & 0o777, uid]).toEqual([0o755, 0]);
  expect((await lstat(join(path, 'etc/machine-id'))).size).toBe(0);
  for (const gone of ['etc/hostname', 'etc/resolv.conf', 'etc/dpkg/dpkg.cfg.d/99mmdebstrap']) {
    expect(existsSync(join(path, gone)), gone).toBe(false);
  }
  expect(await readdir(join(path, 'etc/apt/sources.list.d'))).toEqual(['debian.sources']);
  expect(await readdir(join(path, 'var/lib/apt/lists'))).toEqual(['lock', 'partial']);
  expect(await readFile(join(path, 'run/from-recipe'), 'utf8')).toBe('through a link');
  expect(existsSync('/run/from-recipe')).toBe(false);
});

it('a machine boots from it and is as the recipe says', async () => {
  const { path } = await current();
  const machine = [`--machine=${MACHINE}`, `--directory=${path}`];
  await execa('systemd-run', [
    ...[`--unit=${MACHINE}`, '--service-type=notify', '--property=Delegate=yes', '--collect'],
    ...['systemd-nspawn', ...machine, '--boot', '--keep-unit', '--notify-ready=yes'],
    // The tree stays what it is.
    ...['--volatile=overlay', '--settings=no', '--link-journal=no', '--console=read-only'],
  ]);
  const inside = async (...argv: string[]): Promise<string> => {
    const run = ['--quiet', '--pipe', '--wait', `--machine=${MACHINE}`, ...argv];
    return (await execa('systemd-run', run, { reject: false, stdin: 'ignore' })).stdout;
  };
  try {
    expect(await inside('systemctl', 'is-system-running', '--wait')).toBe('running');
    expect(await inside('printenv', 'GREETING')).toBe('a "b" 100%');
    expect(await inside('hello')).toBe('hello');
    expect(await inside('systemctl', 'is-active', 'from-recipe.service')).toBe('active');
    expect(await inside('systemctl', 'is-enabled', 'apt-daily.timer')).toBe('masked');
    expect(await inside('systemctl', 'is-active', 'systemd-logind.service')).toBe('inactive');
    expect(await inside('id', '--user', 'worker')).toBe('777');
    expect(await inside('cat', '/etc/machine-id')).toMatch(/^[0-9a-f]{32}$/);
  } finally {
    await execa('systemctl', ['kill', '--signal=KILL', MACHINE]);
  }
  expect((await lstat(join(path, 'etc/machine-id'))).size).toBe(0);
});

it('a tree that no machine could boot from does not become current', async () => {
  const before = await current();
  await writeRecipe('debian: {suite: bookworm, security_mirror: none}\n');
  const { exitCode, stderr } = await chroot('create', 'small');
  expect(exitCode).toBe(1);
  expect(stderr).toContain(
    [
      'Chroot "small" was not made: jobs could not use its tree.',
      '  "/usr/lib/systemd/systemd" is missing; package "systemd" has it.',
      '  "/sbin/init" is missing; package "systemd-sysv" has it.',
      '  "/usr/bin/dbus-daemon" is missing; package "dbus" has it.',
      '  "/usr/bin/git" is missing; package "git" has it.',
      `Correct "${join(dir, 'recipes/small.yaml')}", and make it again.`,
    ].join('\n'),
  );
  expect(await current()).toEqual(before);
  expect(await unfinished()).toEqual([]);
});
