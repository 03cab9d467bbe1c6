import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  isPlaybook,
  recipeOfPlaybook,
  VARIABLES,
  withoutPlaybook,
} from '../../../src/chroot/predecessor.ts';
import type { Recipe } from '../../../src/chroot/recipe.ts';
import { SettingsError } from '../../../src/errors.ts';

const FILE = '/etc/nspawn-runner/ci.yaml';

function recipeOf(...lines: readonly string[]): Recipe {
  const vars = lines.map((line) => `    ${line}\n`).join('');
  return recipeOfPlaybook('ci', FILE, `- hosts: all\n  vars:\n    a: 1\n${vars}`);
}

function problemsOf(text: string): readonly string[] {
  try {
    recipeOfPlaybook('ci', FILE, text);
  } catch (error) {
    expect(error).toBeInstanceOf(SettingsError);
    const { message, details, hint } = error as SettingsError;
    expect(hint).toMatch(/^Correct /);
    return details.length === 0 ? [message] : details;
  }
  return [];
}

describe('isPlaybook', () => {
  it.each([
    ['- hosts: all\n', true],
    ['---\n# mine\n- name: one\n  hosts: all\n  roles: [a]\n', true],
    ['- import_playbook: other.yml\n', true],
    ['- ansible.builtin.import_playbook: other.yml\n', true],
    ['- tasks: []\n', true],
    ['- hosts: all\n  vars: {key: !vault x, raw: !unsafe "{{ x }}"}\n', true],
    ['- hosts: all\n  hosts: [b]\n', true],
    ['- name: broken\n  hosts: all\n tasks: [\n', true],
    ['- hosts: all\n  vars: {{ jinja }}: [\n', true],
    ['state_dir: /srv\n', false],
    ['state_dir: [\n', false],
    ['debian:\n  suite: bookworm\n', false],
    ['- one\n- two\n', false],
    ['- {name: x}\n', false],
    ['', false],
    ['# nothing\n', false],
    ['hosts: all\n', false],
    ['"hosts"', false],
    ['\0', false],
    ['- null\n- 1\n', false],
  ])('%j → %s', (text, expected) => {
    expect(isPlaybook(text, FILE)).toBe(expected);
  });
});

describe('a playbook without variables', () => {
  const recipe = recipeOfPlaybook('ci', FILE, '- hosts: all\n');

  it('is what the Python tool made', () => {
    expect(recipe).toMatchObject({
      name: 'ci',
      file: FILE,
      source: { kind: 'debian', distribution: 'debian', suite: 'unstable', components: ['main'] },
      playbook: { file: FILE, variables: {} },
      update: 'refresh',
    });
    expect(recipe.packages).toEqual(
      expect.arrayContaining(['git', 'dbus', 'systemd', 'python3', 'systemd-sysv']),
    );
    expect(recipe.sha256).toMatch(/^[0-9a-f]{64}$/);
  });

  it('limits machines as the Python tool did', () => {
    expect(recipe.machine).toMatchObject({
      limits: { cpuWeight: 50, memoryHighPercent: 30, memoryMaxPercent: 40 },
      seccomp: false,
      nspawnOptions: [],
    });
  });
});

describe('variables', () => {
  it.each([
    ['chroot_suite: bookworm', { source: { distribution: 'debian', suite: 'bookworm' } }],
    ['chroot_suite: noble', { source: { distribution: 'ubuntu', suite: 'noble' } }],
    ['chroot_suite:', { source: { suite: 'unstable' } }],
    ['maint_recreate: true', { update: 'rebuild' }],
    ['maint_recreate: yes', { update: 'rebuild' }],
    ['maint_recreate: True', { update: 'rebuild' }],
    ['maint_recreate: no', { update: 'refresh' }],
    ['maint_recreate: ~', { update: 'refresh' }],
    ['cpu_weight: 200', { machine: { limits: { cpuWeight: 200, memoryMaxPercent: 40 } } }],
    ["cpu_weight: '200'", { machine: { limits: { cpuWeight: 200 } } }],
    ['cpu_weight: null', { machine: { limits: { cpuWeight: undefined } } }],
    [
      'memory_high: 2G',
      { machine: { limits: { memoryHighBytes: 2 ** 31, memoryHighPercent: undefined } } },
    ],
    ['memory_max: 55%', { machine: { limits: { memoryMaxPercent: 55 } } }],
    [
      'memory_max: null',
      { machine: { limits: { memoryMaxPercent: undefined, memoryHighPercent: 30 } } },
    ],
    ['memory_max: infinity', { machine: { limits: { memoryMaxPercent: undefined } } }],
    ['seccomp: on', { machine: { seccomp: true } }],
    ['seccomp: null', { machine: { seccomp: false } }],
    [
      'args: [--bind=/a:/b, --capability=CAP_SYS_PTRACE]',
      {
        machine: { nspawnOptions: ['--bind=/a:/b', '--capability=CAP_SYS_PTRACE'] },
      },
    ],
    [
      'args: --bind=/a  --bind-ro=/b',
      {
        machine: { nspawnOptions: ['--bind=/a', '--bind-ro=/b'] },
      },
    ],
    [
      'args: [--bind, /a:/b, --private-users-chown]',
      {
        machine: { nspawnOptions: ['--bind=/a:/b', '--private-users-chown'] },
      },
    ],
    [
      'args: [--private-network, --suppress-sync=yes, --quiet, -q]',
      {
        machine: { network: 'none', suppressSync: true, nspawnOptions: [] },
      },
    ],
    ['args: [--suppress-sync=no]', { machine: { suppressSync: false } }],
    ['args: null', { machine: { nspawnOptions: [] } }],
    ['something_of_mine: {a: 1}', { update: 'refresh' }],
  ])('nspawn_runner_%s', (line, expected) => {
    expect(recipeOf(`nspawn_runner_${line}`)).toMatchObject(expected);
  });

  it('count in the first play only', () => {
    const text = '- hosts: all\n- hosts: all\n  vars: {nspawn_runner_chroot_suite: bookworm}\n';
    expect(recipeOfPlaybook('ci', FILE, text).source).toMatchObject({ suite: 'unstable' });
  });

  it('may come through merge keys', () => {
    const text = `
- hosts: all
  vars:
    base: &base {nspawn_runner_chroot_suite: trixie, nspawn_runner_maint_recreate: yes}
    <<: *base
`;
    expect(recipeOfPlaybook('ci', FILE, text)).toMatchObject({
      source: { suite: 'trixie' },
      update: 'rebuild',
    });
  });

  it.each([
    '- import_playbook: other.yml\n',
    '- hosts: all\n  vars: [{nspawn_runner_chroot_suite: x}]\n',
    '- hosts: all\n  vars:\n',
    '- just text\n- hosts: all\n',
  ])('are none in %j', (text) => {
    expect(recipeOfPlaybook('ci', FILE, text).source).toMatchObject({ suite: 'unstable' });
  });
});

describe('faults', () => {
  const at = (line: number, name: string): string => `${FILE} line ${line}, [0].vars.${name}`;

  it.each([
    [
      'chroot_suite: "{{ suite }}"',
      'expected the name of a suite, such as bookworm, got "{{ suite }}"',
    ],
    ['chroot_suite: 12', 'expected the name of a suite, such as bookworm, got 12'],
    ['maint_recreate: sometimes', 'expected true or false, got "sometimes"'],
    ['seccomp: [1]', 'expected true or false, got a list'],
    ['cpu_weight: 0', 'expected a whole number from 1 to 10000, got 0'],
    ['memory_max: lots', 'expected a size such as 4G or a percentage such as 40%, got "lots"'],
    ['args: {a: 1}', 'expected a list of options such as --bind=/srv/data'],
    ['args: [1]', 'expected a list of options such as --bind=/srv/data'],
    ['chroot_suit: bookworm', 'unknown variable; did you mean "nspawn_runner_chroot_suite"'],
  ])('nspawn_runner_%s', (line, sentence) => {
    const name = `nspawn_runner_${line.split(':')[0] ?? ''}`;
    const text = `- hosts: all\n  vars:\n    nspawn_runner_${line}\n`;
    const [only, ...others] = problemsOf(text);
    expect(only?.replace(/[.?]$/, '')).toBe(`${at(3, name)}: ${sentence}`);
    expect(others).toEqual([]);
  });

  it('of one option names it', () => {
    const text = `- hosts: all
  vars:
    nspawn_runner_args:
      - --bind=/a
      - --boot
      - -x
`;
    const problems = problemsOf(text);
    expect(problems).toHaveLength(2);
    expect(problems[0]).toContain(`${at(5, 'nspawn_runner_args')}[1]: expected an option of`);
    expect(problems[0]).toContain('got "--boot"');
    expect(problems[1]).toContain('line 6');
  });

  it('are told all at once', () => {
    const text = `- hosts: all
  vars:
    nspawn_runner_cpu_weight: heavy
    nspawn_runner_memory_max: 200%
    nspawn_runner_maint_recreate: 7
`;
    expect(problemsOf(text)).toHaveLength(3);
  });

  it('of the YAML are told with their place', () => {
    expect(problemsOf('- hosts: all\n  vars: [\n')[0]).toMatch(
      /^\/etc\/nspawn-runner\/ci.yaml line/,
    );
  });
});

describe('withoutPlaybook', () => {
  it('is the suite with the same machines', () => {
    const recipe = withoutPlaybook('ci', 'bookworm');
    expect(recipe).toMatchObject({ source: { suite: 'bookworm' }, playbook: undefined });
    expect(recipe.machine).toEqual(recipeOfPlaybook('ci', FILE, '- hosts: all\n').machine);
  });
});

describe('docs/moving-in.md', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/moving-in.md'), 'utf8');

  it('explains every variable', () => {
    const explained = [...page.matchAll(/^\| `nspawn_runner_(\w+)` \|/gm)].map(([, name]) => name);
    expect(explained.sort()).toEqual([...VARIABLES].sort());
  });
});
