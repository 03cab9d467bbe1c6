import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadRecipe, parseRecipe } from '../../../src/chroot/recipe.ts';
import { recipeKeysAt } from '../../../src/chroot/recipe-schema.ts';
import { SettingsError, UsageError, type Failure } from '../../../src/errors.ts';
import { fuzz } from '../fuzz.ts';

const shipped = join(import.meta.dirname, '../../../rootfs-recipes');
const HINT = 'Correct it; docs/recipes.md has every key.';

function problemsOf(text: string): readonly string[] {
  try {
    parseRecipe('r', 'r.yaml', text);
  } catch (error) {
    expect(error).toBeInstanceOf(SettingsError);
    const { message, details, hint } = error as SettingsError;
    expect(hint).toBe(HINT);
    return details.length === 0 ? [message] : details;
  }
  return [];
}

describe('shipped recipes', () => {
  const files = readdirSync(shipped).filter((file) => file.endsWith('.yaml'));

  it('are there', () => {
    expect(files).toEqual(['debian-12.yaml', 'debian-13.yaml']);
  });

  it.each(files)('%s is good', (file) => {
    const text = readFileSync(join(shipped, file), 'utf8');
    const recipe = parseRecipe(basename(file, '.yaml'), file, text);
    expect(recipe.packages).toEqual(
      expect.arrayContaining(['systemd', 'systemd-sysv', 'dbus', 'bash', 'git', 'git-lfs']),
    );
  });
});

describe('docs/recipes.md', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/recipes.md'), 'utf8');
  const examples = [...page.matchAll(/```yaml\n(.*?)```/gs)].map(([, text]) => text ?? '');

  it('has examples that are good', () => {
    expect(examples).toHaveLength(2);
    for (const text of examples) expect(problemsOf(text)).toEqual([]);
  });

  it('explains every key', () => {
    const keys = recipeKeysAt([]).filter((key) => key !== 'debian');
    const table = /^## Keys\n(.*?)^`mask` takes/ms.exec(page)?.[1] ?? '';
    const explained = [...table.matchAll(/^\| `([\w.]+)` \|/gm)].map(([, key]) => key);
    expect(explained.sort()).toEqual(keys.sort());
  });
});

describe('every key', () => {
  it('is read', () => {
    const text = `
description: what it is for
debian:
  suite: trixie
  mirror: https://mirror.example.com/debian
  security_mirror: none
  components: [main, contrib]
  keyring: /etc/keys/mirror.gpg
  extra_sources: |
    Types: deb
    URIs: https://packages.example.com/
    Suites: stable
    Components: main
  apt_options: ['Acquire::Retries "3"']
packages: [git, 'g++', 'libc6:i386', 'curl=7.88.1-10+deb12u5', nodejs/trixie-backports]
files:
  - {path: /etc/motd, content: hello, mode: '0600'}
  - {path: /usr/local/bin/x, content: ''}
environment: {GREETING: 'a "b" 100%'}
mask: [fstrim.timer, multi-user.target.wants/x.service, system-generators/systemd-x]
enable: ['getty@tty2.service']
`;
    expect(parseRecipe('r', '/etc/r.yaml', text)).toEqual({
      name: 'r',
      file: '/etc/r.yaml',
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      debian: {
        suite: 'trixie',
        mirror: 'https://mirror.example.com/debian',
        securityMirror: 'none',
        components: ['main', 'contrib'],
        keyring: '/etc/keys/mirror.gpg',
        extraSources:
          'Types: deb\nURIs: https://packages.example.com/\nSuites: stable\nComponents: main\n',
        aptOptions: ['Acquire::Retries "3"'],
      },
      packages: ['git', 'g++', 'libc6:i386', 'curl=7.88.1-10+deb12u5', 'nodejs/trixie-backports'],
      files: [
        { path: '/etc/motd', content: 'hello', mode: 0o600 },
        { path: '/usr/local/bin/x', content: '', mode: 0o644 },
      ],
      environment: { GREETING: 'a "b" 100%' },
      mask: ['fstrim.timer', 'multi-user.target.wants/x.service', 'system-generators/systemd-x'],
      enable: ['getty@tty2.service'],
    });
  });

  it('may be left out but for the suite', () => {
    const { debian, ...rest } = parseRecipe('r', 'r.yaml', 'debian: {suite: sid}');
    expect(debian).toMatchObject({ suite: 'sid', components: ['main'], aptOptions: [] });
    expect(rest).toMatchObject({ packages: [], files: [], environment: {}, mask: [], enable: [] });
  });
});

describe('one fault gives one sentence', () => {
  const debian = 'debian: {suite: bookworm}\n';
  it.each([
    ['', 'r.yaml, debian: expected a map with at least a suite, got nothing.'],
    [
      'debian: bookworm',
      'r.yaml line 1, debian: expected a map with at least a suite, got "bookworm".',
    ],
    [
      'debian: {suit: bookworm, suite: bookworm}',
      'r.yaml line 1, debian.suit: unknown key; did you mean "suite"?',
    ],
    [`${debian}suite: bookworm`, 'r.yaml line 2, suite: unknown key; did you mean "debian.suite"?'],
    [`${debian}pakages: []`, 'r.yaml line 2, pakages: unknown key; did you mean "packages"?'],
    [
      `${debian}playbook: x`,
      'r.yaml line 2, playbook: unknown key; the keys here are description, debian, packages, files, environment, mask, enable, debian.suite, debian.mirror, debian.security_mirror, debian.components, debian.keyring, debian.extra_sources, debian.apt_options.',
    ],
    [
      `${debian}packages: [git, '--reinstall']`,
      'r.yaml line 2, packages[1]: expected the name of a package, got "--reinstall".',
    ],
    [
      `${debian}packages: git`,
      'r.yaml line 2, packages: expected a list, each item the name of a package, got "git".',
    ],
    [
      `${debian}files:\n  - {path: etc/motd, content: x}`,
      'r.yaml line 3, files[0].path: expected an absolute path without "." and "..", got "etc/motd".',
    ],
    [
      `${debian}files:\n  - {path: /a/../../etc/shadow, content: x}`,
      'r.yaml line 3, files[0].path: expected an absolute path without "." and "..", got "/a/../../etc/shadow".',
    ],
    [
      `${debian}files:\n  - {path: /a, content: x, mode: 0644}`,
      'r.yaml line 3, files[0].mode: expected a quoted octal mode such as "0644", got 644.',
    ],
    [
      `${debian}files:\n  - {path: /a, content: x}\n  - {path: /a, content: y}`,
      'r.yaml line 4, files[1].path: "/a" stands here twice.',
    ],
    [
      `${debian}environment: {A-B: x}`,
      'r.yaml line 2, environment.A-B: expected a name of letters, digits and "_" before the colon.',
    ],
    [
      `${debian}environment: {A: 1}`,
      'r.yaml line 2, environment.A: expected a quoted text of one line, got 1.',
    ],
    [
      `${debian}mask: [fstrim]`,
      'r.yaml line 2, mask[0]: expected a unit, a TARGET.wants/UNIT or a system-generators/NAME, got "fstrim".',
    ],
    [
      `${debian}mask: [../../etc/x.service]`,
      'r.yaml line 2, mask[0]: expected a unit, a TARGET.wants/UNIT or a system-generators/NAME, got "../../etc/x.service".',
    ],
    [
      `${debian}enable: [nginx]`,
      'r.yaml line 2, enable[0]: expected a unit with its suffix, such as nginx.service, got "nginx".',
    ],
    [
      `${debian}mask: [a.service]\nenable: [a.service]`,
      'r.yaml line 3, enable[0]: "a.service" is also under mask.',
    ],
    [
      'debian: {suite: bookworm, extra_sources: "Types: deb\\nURIs: http://x/"}',
      'r.yaml line 1, debian.extra_sources: expected "Suites:" in paragraph 1.',
    ],
    [
      'debian: {suite: bookworm, security_mirror: false}',
      'r.yaml line 1, debian.security_mirror: expected a URL such as http://deb.debian.org/debian-security, or "none", got false.',
    ],
    [
      'debian: {suite: bookworm, apt_options: [Acquire::Retries]}',
      'r.yaml line 1, debian.apt_options[0]: expected an option of apt.conf(5), such as Acquire::Retries "3", got "Acquire::Retries".',
    ],
  ])('%j', (text, problem) => {
    expect(problemsOf(text)).toEqual([problem]);
  });

  it('and all faults are told at once, in the order of their lines', () => {
    const text = `debian: {mirror: nowhere}\npackages: [a b]\nmask: [x]\nenable: [y]\n`;
    expect(problemsOf(text).map((problem) => /line \d+, [^:]+/.exec(problem)?.[0])).toEqual([
      'line 1, debian.suite',
      'line 1, debian.mirror',
      'line 2, packages[0]',
      'line 3, mask[0]',
      'line 4, enable[0]',
    ]);
  });
});

it('makes a recipe or a SettingsError of any text', () => {
  const { below, text } = fuzz('recipe');
  const good = readFileSync(join(shipped, 'debian-12.yaml'), 'utf8');
  for (let run = 0; run < 300; run += 1) {
    const at = below(good.length);
    const damage = text(1 + below(6), ' :-[]{}"\'&*!|>%@`,?#\\\n\tab1/.~');
    try {
      parseRecipe('r', 'r.yaml', good.slice(0, at) + damage + good.slice(at + below(20)));
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error;
    }
  }
});

describe('the file of a recipe', () => {
  let dirs: string[] = [];
  beforeAll(() => {
    dirs = [1, 2].map(() => mkdtempSync(join(tmpdir(), 'recipes-')));
    writeFileSync(join(dirs[0] ?? '', 'debian-12.yaml'), 'debian: {suite: bookworm}');
    writeFileSync(join(dirs[1] ?? '', 'debian-12.yaml'), 'debian: {suite: sid}');
    writeFileSync(join(dirs[1] ?? '', 'other.yaml'), 'debian: {suite: sid}');
  });
  afterAll(() => {
    for (const dir of dirs) rmSync(dir, { recursive: true });
  });
  const failureOf = (name: string, where = dirs): Promise<Failure> =>
    loadRecipe(name, where).then(
      () => expect.fail('no failure'),
      (error: unknown) => error as Failure,
    );

  it('is the first that is found', async () => {
    expect((await loadRecipe('debian-12', dirs)).debian.suite).toBe('bookworm');
    expect((await loadRecipe('other', dirs)).debian.suite).toBe('sid');
    expect((await loadRecipe('other', ['/nowhere', ...dirs])).debian.suite).toBe('sid');
  });

  it('is missing, and a near name is offered', async () => {
    const failure = await failureOf('debain-12');
    expect(failure).toBeInstanceOf(UsageError);
    expect(failure.message).toBe('There is no recipe "debain-12".');
    expect(failure.details).toEqual([
      'Recipes: debian-12, other.',
      `Searched: ${dirs.join(', ')}.`,
    ]);
    expect(failure.hint).toBe('Did you mean "debian-12"?');
  });

  it('is missing, and nothing is near', async () => {
    const failure = await failureOf('fedora', ['/nowhere']);
    expect(failure.details).toEqual(['Recipes: none.', 'Searched: /nowhere.']);
    expect(failure.hint).toBe('Write "/nowhere/fedora.yaml"; docs/recipes.md shows how.');
  });

  it.each(['../x', '.hidden', '', 'a/b', '-x', 'x'.repeat(65)])(
    'cannot be named %j',
    async (name) => {
      const failure = await failureOf(name);
      expect(failure).toBeInstanceOf(UsageError);
      expect(failure.message).toBe(`"${name}" cannot be the name of a chroot.`);
      expect(failure.hint).toBe(
        'Use at most 64 letters, digits, ".", "_" and "-", the first a letter or a digit.',
      );
    },
  );
});
