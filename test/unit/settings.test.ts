import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { toJSONSchema } from 'zod/mini';
import { SettingsError } from '../../src/errors.ts';
import { SettingsFile } from '../../src/settings-schema.ts';
import { defaultSettings, loadSettings, parseSettings } from '../../src/settings.ts';
import { fuzz } from './fuzz.ts';

const HINT = 'Correct it; docs/settings.md has every key and its default.';

async function problemsOf(text: string): Promise<{ message: string; details: readonly string[] }> {
  const error: unknown = await parseSettings(text, 'settings.yaml').then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(SettingsError);
  const { message, details, hint } = error as SettingsError;
  expect(hint).toBe(HINT);
  return { message, details };
}

describe('defaults', () => {
  it.each(['', '# nothing\n', '---\n', '{}'])('hold for %j', async (text) => {
    expect(await parseSettings(text, 'settings.yaml')).toEqual(defaultSettings());
  });

  it('are what the schema tells editors', async () => {
    const written: Record<string, unknown> = {};
    collect(toJSONSchema(SettingsFile, { io: 'input' }) as Node, written);
    expect(Object.keys(written)).toContain('boot_timeout');
    expect(await parseSettings(JSON.stringify(written), 'settings.yaml')).toEqual(
      defaultSettings(),
    );
  });
});

interface Node {
  readonly properties?: Readonly<Record<string, Node>>;
  readonly default?: unknown;
}

function collect(schema: Node, into: Record<string, unknown>): void {
  for (const [key, node] of Object.entries(schema.properties ?? {})) {
    if (node.properties !== undefined) {
      const nested = {};
      collect(node, nested);
      into[key] = nested;
    } else if (node.default !== undefined) into[key] = node.default;
  }
}

describe('every key', () => {
  it('is read', async () => {
    const text = `
state_dir: /srv/ci/
recipe_dirs: [/srv/recipes/]
default_image: debian-12
allowed_images: ['debian-*', 'registry.example.com/**']
images: {'debian:12': debian-12}
shell: sh
user: ci
builds_dir: /home/ci/builds
cache_dir: /home/ci/cache
keep_builds: true
gitlab_runner: /opt/gitlab-runner
limits: {memory_max: 4G, memory_high: 3G, cpu_weight: 50, cpu_quota: 200%, tasks_max: 500}
boot_timeout: 90
stop_timeout: 0
script_stop_timeout: 500ms
deadline_margin: 1h 30min
trust_job_id_variable: true
virtual_machines: [libvirt]
virtual_machine_users: [root]
ask_gitlab: true
metrics_file: /srv/metrics/ci.prom
minimum_free_space: 5G
apt_mirror: http://mirror.example.com/debian
`;
    expect(await parseSettings(text, 'settings.yaml')).toEqual({
      stateDir: '/srv/ci',
      recipeDirs: ['/srv/recipes'],
      defaultImage: 'debian-12',
      allowedImages: ['debian-*', 'registry.example.com/**'],
      images: { 'debian:12': 'debian-12' },
      shell: 'sh',
      user: 'ci',
      buildsDir: '/home/ci/builds',
      cacheDir: '/home/ci/cache',
      keepBuilds: true,
      gitlabRunner: '/opt/gitlab-runner',
      limits: {
        memoryMaxBytes: 4 * 1024 ** 3,
        memoryHighBytes: 3 * 1024 ** 3,
        cpuWeight: 50,
        cpuQuotaPercent: 200,
        tasksMax: 500,
      },
      bootTimeoutSec: 90,
      stopTimeoutSec: 0,
      scriptStopTimeoutSec: 0.5,
      deadlineMarginSec: 5400,
      trustJobIdVariable: true,
      virtualMachineKinds: ['libvirt'],
      virtualMachineUsers: ['root'],
      askGitlab: true,
      metricsFile: '/srv/metrics/ci.prom',
      aptMirror: 'http://mirror.example.com/debian',
      minimumFreeSpace: { bytes: 5 * 1024 ** 3 },
    });
  });

  it('takes memory as a percentage', async () => {
    const { limits } = await parseSettings('limits: {memory_max: 40%}', 'settings.yaml');
    expect(limits).toEqual({ memoryMaxPercent: 40, tasksMax: 16_384 });
  });
});

describe('one problem', () => {
  const path = 'an absolute path of letters, digits, ".", "_" and "-", such as';
  const memory = 'a size such as 4G or a percentage such as 40%';
  const span = 'a duration such as 60s, at most 1h';
  it.each([
    ['limits:\n  memory_max: lots', `line 2, limits.memory_max: expected ${memory}, got "lots".`],
    ['limits: {memory_max: 400%}', `line 1, limits.memory_max: expected ${memory}, got "400%".`],
    ['limits: {memory_max: 0}', `line 1, limits.memory_max: expected ${memory}, got 0.`],
    ['limits: {memory_max: .inf}', `line 1, limits.memory_max: expected ${memory}, got Infinity.`],
    ['limits:', 'line 1, limits: expected a map of limits, got nothing.'],
    ['limits: [a]', 'line 1, limits: expected a map of limits, got a list.'],
    [
      'limits: {cpu_weight: 0.5}',
      'line 1, limits.cpu_weight: expected a whole number from 1 to 10000, got 0.5.',
    ],
    [
      'limits: {cpu_quota: 200}',
      'line 1, limits.cpu_quota: expected a percentage such as 200%, got 200.',
    ],
    ['state_dir: lib', `line 1, state_dir: expected ${path} /var/lib/nspawn-runner, got "lib".`],
    ['state_dir: /', `line 1, state_dir: expected ${path} /var/lib/nspawn-runner, got "/".`],
    [
      'state_dir: /var/../etc',
      `line 1, state_dir: expected ${path} /var/lib/nspawn-runner, got "/var/../etc".`,
    ],
    [
      'state_dir: "/a,upperdir=/b"',
      `line 1, state_dir: expected ${path} /var/lib/nspawn-runner, got "/a,upperdir=/b".`,
    ],
    ['builds_dir: /a:b', `line 1, builds_dir: expected ${path} /builds, got "/a:b".`],
    [
      '\ncache_dir: /builds/cache',
      'line 2, cache_dir: expected a directory apart from builds_dir "/builds", got "/builds/cache".',
    ],
    [
      'builds_dir: /cache',
      'line 1, builds_dir: expected a directory apart from cache_dir "/cache", got "/cache".',
    ],
    ['keep_builds: yes', 'line 1, keep_builds: expected true or false, got "yes".'],
    ['shell: fish', 'line 1, shell: expected "bash" or "sh", got "fish".'],
    ['user: 0', 'line 1, user: expected the name of a user, got 0.'],
    ['boot_timeout: 0', `line 1, boot_timeout: expected ${span}, got 0.`],
    ['boot_timeout: 2h', `line 1, boot_timeout: expected ${span}, got "2h".`],
    ['boot_timeout: 60 sex', `line 1, boot_timeout: expected ${span}, got "60 sex".`],
    [
      'script_stop_timeout: 10min',
      'line 1, script_stop_timeout: expected a duration such as 10s, at most 3min, got "10min".',
    ],
    [
      'allowed_images:',
      'line 1, allowed_images: expected a list, each item a glob such as debian-*, got nothing.',
    ],
    [
      'allowed_images:\n  - a\n  - ""',
      'line 3, allowed_images[1]: expected a glob such as debian-*, got "".',
    ],
    [
      'images:\n  debian:12: .hidden',
      'line 2, images."debian:12": expected the name of a chroot, got ".hidden".',
    ],
    ['images: {a: b/c}', 'line 1, images.a: expected the name of a chroot, got "b/c".'],
    [
      'gitlab_runner: gitlab-runner',
      'line 1, gitlab_runner: expected "auto", "none" or an absolute path, got "gitlab-runner".',
    ],
    [
      'apt_mirror: deb.debian.org',
      'line 1, apt_mirror: expected a URL such as http://deb.debian.org/debian, got "deb.debian.org".',
    ],
    ['\n\nsate_dir: /a', 'line 3, sate_dir: unknown key; did you mean "state_dir"?'],
    ['memory_max: 4G', 'line 1, memory_max: unknown key; did you mean "limits.memory_max"?'],
    ['limits:\n  task_max: 5', 'line 2, limits.task_max: unknown key; did you mean "tasks_max"?'],
    [
      'limits: {ram: 4G}',
      'line 1, limits.ram: unknown key; the keys here are memory_max, memory_high, cpu_weight, cpu_quota, tasks_max.',
    ],
  ])('%j', async (text, message) => {
    expect(await problemsOf(text)).toEqual({
      message: `settings.yaml ${message}`,
      details: [],
    });
  });

  it('is the whole file', async () => {
    expect(await problemsOf('- a')).toEqual({
      message: 'settings.yaml: expected a map of settings, got a list.',
      details: [],
    });
  });
});

it('tells all problems at once, in the order of the file', async () => {
  const text = 'stat_dir: /a\nshell: fish\nlimits:\n  cpu_quota: 1\n  cpu: 2\nuser: root\n';
  expect(await problemsOf(text)).toEqual({
    message: 'settings.yaml has 4 problems.',
    details: [
      'settings.yaml line 1, stat_dir: unknown key; did you mean "state_dir"?',
      'settings.yaml line 2, shell: expected "bash" or "sh", got "fish".',
      'settings.yaml line 4, limits.cpu_quota: expected a percentage such as 200%, got 1.',
      'settings.yaml line 5, limits.cpu: unknown key; the keys here are memory_max, memory_high, cpu_weight, cpu_quota, tasks_max.',
    ],
  });
});

describe('which file', () => {
  const dir = mkdtempSync(join(tmpdir(), 'settings-'));
  const file = join(dir, 'settings.yaml');
  writeFileSync(file, 'user: ci\n');
  afterAll(() => {
    rmSync(dir, { recursive: true });
  });

  it('is the one that is named', async () => {
    const other = join(dir, 'other.yaml');
    expect((await loadSettings(file, { NSPAWN_RUNNER_SETTINGS: other })).user).toBe('ci');
    expect((await loadSettings(undefined, { NSPAWN_RUNNER_SETTINGS: file })).user).toBe('ci');
  });

  it('must exist when it is named', async () => {
    const absent = join(dir, 'absent.yaml');
    await expect(loadSettings(absent, {})).rejects.toMatchObject({
      name: 'SettingsError',
      message: `Settings file "${absent}" cannot be read.`,
      details: [`ENOENT: no such file or directory, open '${absent}'`],
      hint: 'Correct --settings or NSPAWN_RUNNER_SETTINGS; without both, the default file is read.',
    });
  });
});

it('never fails with anything but a SettingsError', async () => {
  const { below, pick, text } = fuzz('settings');
  const keys = [...Object.keys(SettingsFile.shape), 'memory_max', 'tasks_max', '__proto__', 'x'];
  const values = ['4G', '40%', '60s', '-1', '[', '{}', '[a, 1]', '~', '"', '*a', '&a b', '!!set x'];
  for (let run = 0; run < 2000; run += 1) {
    const lines = Array.from({ length: below(6) }, () => {
      const value =
        below(3) === 0 ? text(below(12), ' :-[]{}"\'&*!|>%@`,?#\\\n\tab1/.~') : pick(values);
      return `${pick(['', '', '  '])}${pick(keys)}: ${value}`;
    });
    const error: unknown = await parseSettings(lines.join('\n'), 'settings.yaml').catch(
      (reason: unknown) => reason,
    );
    if (error instanceof Error && !(error instanceof SettingsError)) {
      throw new Error(`Not a SettingsError for ${JSON.stringify(lines)}`, { cause: error });
    }
  }
});
