import { readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseRecipe } from '../../../src/chroot/recipe.ts';
import { recipeKeysAt } from '../../../src/chroot/recipe-schema.ts';
import { SettingsError } from '../../../src/errors.ts';
import { fuzz } from '../fuzz.ts';

const shipped = join(import.meta.dirname, '../../../rootfs-recipes');
const files = readdirSync(shipped).filter((file) => file.endsWith('.yaml'));
const parse = (text: string, file = '/etc/recipes/r.yaml') => parseRecipe('r', file, text);
const SHA256 = 'a'.repeat(64);

const EVERY_KEY = `
description: what it is for
extends: debian-12
packages: [git, 'g++', 'libc6:i386', 'curl=7.88.1-10+deb12u5', nodejs/trixie-backports, glibc.i686]
user: {name: ci, uid: 1000, groups: [docker], home: /srv/ci, shell: /bin/sh, sudo: true}
files:
  - {path: /etc/motd, content: hello, mode: '0600'}
  - {path: /usr/local/bin/x, content: ''}
  - {path: /etc/npmrc, source: npmrc}
  - {path: /etc/pip.conf, source: /srv/pip.conf, mode: '4755'}
script:
  - npm install --global pnpm
  - |
    #!/usr/bin/python3
    # says hello
    print('hello')
playbook: playbooks/web.yml
playbook_variables: {registry: {url: http://x/}, ports: [80, 443]}
environment: {GREETING: 'a "b" 100%'}
mask: [fstrim.timer, multi-user.target.wants/x.service, system-generators/systemd-x]
enable: ['getty@tty2.service']
machine:
  limits: {memory_max: 4G, memory_high: 40%, cpu_weight: 50, cpu_quota: 200%, tasks_max: 1000}
  binds: ['/srv/models:/models:ro', '/srv/data:/data']
  network: none
  profile: nesting
  shell: sh
  user: ci
  boot_timeout: 2min
  suppress_sync: true
  seccomp: false
  nspawn_options: [--capability=CAP_SYS_PTRACE, --private-users=no]
check: [node --version, '# answers

    curl localhost']
update: refresh
keep: 0
`;

describe('shipped recipes', () => {
  it.each(files)('%s is good', (file) => {
    const text = readFileSync(join(shipped, file), 'utf8');
    const recipe = parseRecipe(basename(file, '.yaml'), join(shipped, file), text);
    expect(recipe.description).toMatch(/\w/);
    if (recipe.source.kind !== 'debian') return;
    expect(recipe.packages).toEqual(
      expect.arrayContaining(['systemd', 'systemd-sysv', 'dbus', 'bash', 'git', 'git-lfs']),
    );
  });

  it('stand in their table', () => {
    const page = readFileSync(join(shipped, 'README.md'), 'utf8');
    const told = [...page.matchAll(/^\| \[([\w.-]+)\]\(\1\) \|/gm)].map(([, file]) => file);
    expect(told.sort()).toEqual(files.sort());
  });
});

describe('every key', () => {
  it('is read', () => {
    expect(parse(EVERY_KEY)).toEqual({
      name: 'r',
      file: '/etc/recipes/r.yaml',
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      description: 'what it is for',
      source: { kind: 'extends', parent: 'debian-12' },
      packages: [
        ...['git', 'g++', 'libc6:i386', 'curl=7.88.1-10+deb12u5'],
        ...['nodejs/trixie-backports', 'glibc.i686'],
      ],
      user: {
        ...{ name: 'ci', uid: 1000, groups: ['docker'] },
        ...{ home: '/srv/ci', shell: '/bin/sh', sudo: true },
      },
      files: [
        { path: '/etc/motd', content: 'hello', source: undefined, mode: 0o600 },
        { path: '/usr/local/bin/x', content: '', source: undefined, mode: undefined },
        { path: '/etc/npmrc', content: undefined, source: '/etc/recipes/npmrc', mode: undefined },
        { path: '/etc/pip.conf', content: undefined, source: '/srv/pip.conf', mode: 0o4755 },
      ],
      script: [
        { name: 'npm install --global pnpm', script: 'npm install --global pnpm' },
        { name: 'says hello', script: "#!/usr/bin/python3\n# says hello\nprint('hello')\n" },
      ],
      playbook: {
        file: '/etc/recipes/playbooks/web.yml',
        variables: { registry: { url: 'http://x/' }, ports: [80, 443] },
      },
      environment: { GREETING: 'a "b" 100%' },
      mask: ['fstrim.timer', 'multi-user.target.wants/x.service', 'system-generators/systemd-x'],
      enable: ['getty@tty2.service'],
      machine: {
        format: 1,
        limits: {
          ...{ memoryMaxBytes: 4 * 1024 ** 3, memoryHighPercent: 40 },
          ...{ cpuWeight: 50, cpuQuotaPercent: 200, tasksMax: 1000 },
        },
        binds: [
          { source: '/srv/models', target: '/models', readOnly: true },
          { source: '/srv/data', target: '/data', readOnly: false },
        ],
        ...{ network: 'none', profile: 'nesting', shell: 'sh', user: 'ci' },
        ...{ bootTimeoutSec: 120, suppressSync: true, seccomp: false },
        nspawnOptions: ['--capability=CAP_SYS_PTRACE', '--private-users=no'],
      },
      check: [
        { name: 'node --version', script: 'node --version' },
        { name: 'answers', script: '# answers\ncurl localhost' },
      ],
      update: 'refresh',
      keep: 0,
    });
  });

  it('may be left out but for the source', () => {
    const { source, machine, ...rest } = parse('extends: debian-12');
    expect(source).toEqual({ kind: 'extends', parent: 'debian-12' });
    expect(Object.entries(machine).filter(([, value]) => value !== undefined)).toEqual([
      ['format', 1],
    ]);
    expect(rest).toMatchObject({
      ...{ packages: [], files: [], script: [], check: [], environment: {}, mask: [], enable: [] },
      ...{ user: undefined, playbook: undefined, description: undefined },
      ...{ update: 'rebuild', keep: 1 },
    });
  });

  it('has defaults for a user', () => {
    expect(parse('extends: x\nuser: {name: ci}').user).toEqual({
      ...{ name: 'ci', uid: undefined, groups: [], sudo: false },
      ...{ home: '/home/ci', shell: '/bin/bash' },
    });
  });
});

describe('a source', () => {
  const debian = { kind: 'debian', distribution: 'debian', components: ['main'], tool: 'auto' };
  const fedora = { kind: 'fedora', release: '42', repositories: [] };
  const tar = { kind: 'tar', location: '/etc/recipes/r.tar', stripComponents: 0 };
  const oci = { kind: 'oci', digest: undefined, authFile: undefined, tlsVerify: true };
  const key = '/usr/share/keyrings/debian-archive-keyring.gpg';
  const mirror = 'https://mirror.example.com/';
  it.each<[string, Readonly<Record<string, unknown>>]>([
    ['debian: {suite: sid}', { ...debian, suite: 'sid', keyring: key, aptOptions: [] }],
    [
      `debian: {suite: sid, mirror: "${mirror}", security_mirror: none, components: [main, contrib], keyring: /k.gpg, extra_sources: "Types: deb\\nURIs: ${mirror}\\nSuites: x\\n", apt_options: ['Acquire::Retries "3"'], tool: debootstrap}`,
      {
        ...{ ...debian, suite: 'sid', mirror, securityMirror: 'none', tool: 'debootstrap' },
        ...{ components: ['main', 'contrib'], keyring: '/k.gpg' },
        extraSources: `Types: deb\nURIs: ${mirror}\nSuites: x\n`,
        aptOptions: ['Acquire::Retries "3"'],
      },
    ],
    [
      'ubuntu: {suite: noble}',
      {
        ...{ ...debian, distribution: 'ubuntu', suite: 'noble', components: ['main', 'universe'] },
        keyring: '/usr/share/keyrings/ubuntu-archive-keyring.gpg',
      },
    ],
    ['fedora: {release: "42"}', fedora],
    [
      `fedora: {release: "42", keyring: /k, repositories: [{id: a, baseurl: "${mirror}", gpgkey: none}, {id: b, metalink: "${mirror}", gpgkey: /k}]}`,
      {
        ...{ ...fedora, keyring: '/k' },
        repositories: [
          { id: 'a', baseurl: mirror, metalink: undefined, gpgkey: undefined },
          { id: 'b', baseurl: undefined, metalink: mirror, gpgkey: '/k' },
        ],
      },
    ],
    ['tar: {location: r.tar}', { ...tar, sha256: undefined, signature: undefined }],
    [
      `tar: {location: "${mirror}r.tar", sha256: ${SHA256.toUpperCase()}, signature: r.sig, keyring: /k, strip_components: 1}`,
      {
        ...{ kind: 'tar', location: `${mirror}r.tar`, sha256: SHA256, stripComponents: 1 },
        ...{ signature: '/etc/recipes/r.sig', keyring: '/k' },
      },
    ],
    ['tar: {location: "file:///srv/r.tar"}', { ...tar, location: 'file:///srv/r.tar' }],
    ['oci: {image: debian:bookworm}', { ...oci, image: 'docker://debian:bookworm' }],
    [
      `oci: {image: "docker://r.example.com:5000/a/b", digest: "sha256:${SHA256}", auth_file: /a, tls_verify: false}`,
      {
        ...{ kind: 'oci', image: 'docker://r.example.com:5000/a/b', digest: `sha256:${SHA256}` },
        ...{ authFile: '/a', tlsVerify: false },
      },
    ],
    ['oci: {image: "oci:/srv/layout:tag"}', { ...oci, image: 'oci:/srv/layout:tag' }],
    ['oci: {image: "oci:layout:tag"}', { ...oci, image: 'oci:/etc/recipes/layout:tag' }],
    ['oci: {image: "dir:../d"}', { ...oci, image: 'dir:/etc/d' }],
  ])('%s', (text, source) => {
    expect(parse(text).source).toMatchObject(source);
  });
});

/** Told for any text: all problems, in the order of their lines. */
function damageOf(text: string): void {
  try {
    parse(text, 'r.yaml');
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    expect(error.message).toMatch(/^r\.yaml/);
    const lines = error.details.map((line) => Number(/^r\.yaml line (\d+)/.exec(line)?.[1] ?? 0));
    expect(lines).toEqual([...lines].sort((a, b) => a - b));
    for (const detail of error.details) expect(detail).not.toMatch(/undefined|\[object|NaN/);
  }
}

describe('a recipe or a SettingsError', () => {
  const good = [EVERY_KEY, ...files.map((file) => readFileSync(join(shipped, file), 'utf8'))];

  it('is made of any text', () => {
    const { below, text, pick } = fuzz('recipe texts');
    for (let run = 0; run < 400; run += 1) {
      const whole = pick(good);
      const at = below(whole.length);
      const damage = text(1 + below(6), ' :-[]{}"\'&*!|>%@`,?#\\\n\tab1/.~');
      damageOf(whole.slice(0, at) + damage + whole.slice(at + below(20)));
    }
  });

  it('is made of any values', () => {
    const { below, pick } = fuzz('recipe values');
    const nested = ['debian', 'fedora', 'tar', 'oci', 'user', 'machine'].map((key) => [key]);
    const places = [[], ...nested, ['files', 0], ['fedora', 'repositories', 0]];
    const keys = [...new Set(places.flatMap((place) => recipeKeysAt(place)))];
    const leaf = (): unknown =>
      pick([
        null,
        true,
        0,
        -1,
        2 ** 60,
        '',
        'x',
        '/x',
        '../x',
        'a b',
        'http://x/',
        '\u0000',
        '644',
      ]);
    const value = (depth: number): unknown => {
      const kind = depth > 3 ? 0 : below(4);
      const items = Array.from({ length: below(4) }, () => depth + 1);
      if (kind === 1) return items.map(value);
      if (kind < 2) return leaf();
      return Object.fromEntries(
        items.map((deeper) => [pick([...keys, '__proto__', 'constructor', '']), value(deeper)]),
      );
    };
    for (let run = 0; run < 400; run += 1) {
      const entries = Array.from({ length: below(5) }, () => [pick(keys), value(1)] as const);
      const lines = entries.map(([key, one]) => `${JSON.stringify(key)}: ${JSON.stringify(one)}`);
      damageOf(lines.join('\n'));
    }
  });
});
