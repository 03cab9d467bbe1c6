import { execa } from 'execa';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseRecipe } from '../../../src/chroot/recipe.ts';
import { recipeDigest } from '../../../src/chroot/recipe-digest.ts';
import { SettingsError } from '../../../src/errors.ts';

const BASE = `
description: what it is for
debian: {suite: sid, components: [main]}
packages: [git, npm]
user: {name: ci}
files:
  - {path: /etc/motd, content: hello}
  - {path: /etc/npmrc, source: npmrc}
  - {path: /usr/local/bin/build, source: build}
script: ['echo one', 'echo two']
playbook: web.yml
playbook_variables: {port: 80}
environment: {NODE_ENV: test}
mask: [fstrim.timer]
enable: [nginx.service]
machine: {network: none}
check: [node --version]
update: rebuild
keep: 1
`;

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'digest-'));
  write('npmrc', 'registry=https://npm.example.com/');
  write('build', '#!/bin/sh');
  write('web.yml', '- hosts: all');
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});
const write = (name: string, text: string): void => writeFileSync(join(dir, name), text);
const digestOf = (text: string, name = 'r', aptMirror?: string): Promise<string> =>
  recipeDigest(parseRecipe(name, join(dir, `${name}.yaml`), text), aptMirror);

describe('the digest of a recipe', () => {
  it('is a number that stays', async () => {
    expect(await digestOf(BASE)).toMatch(/^[0-9a-f]{64}$/);
    expect(await digestOf(BASE)).toBe(await digestOf(BASE));
  });

  it('changes with the mirror of the settings, where that is the one', async () => {
    const ofMirror = (text: string): Promise<string> => digestOf(text, 'r', 'http://m/debian');
    expect(await ofMirror(BASE)).not.toBe(await digestOf(BASE));
    for (const source of [
      'debian: {suite: sid, mirror: http://own/debian}',
      'extends: debian-12',
    ]) {
      expect(await ofMirror(source)).toBe(await digestOf(source));
    }
    const named = await digestOf('debian: {suite: sid, mirror: http://m/debian}');
    expect(await ofMirror('debian: {suite: sid}')).toBe(named);
  });

  it.each([
    ['suite: sid', 'suite: trixie'],
    ['components: [main]', 'components: [main, contrib]'],
    ['debian: {suite: sid, components: [main]}', 'extends: debian-12'],
    ['[git, npm]', '[npm, git]'],
    ['[git, npm]', '[git]'],
    ['{name: ci}', '{name: ci, sudo: true}'],
    ['content: hello', 'content: hi'],
    ['content: hello}', "content: hello, mode: '0600'}"],
    ['/etc/motd', '/etc/issue'],
    ['source: npmrc}', "source: npmrc, mode: '0600'}"],
    ["'echo one', 'echo two'", "'echo two', 'echo one'"],
    ['port: 80', 'port: 81'],
    ['NODE_ENV: test', 'NODE_ENV: production'],
    ['mask: [fstrim.timer]', 'mask: []'],
    ['enable: [nginx.service]', 'enable: []'],
  ])('changes with what the tree holds: %s → %s', async (from, to) => {
    const changed = BASE.replace(from, to);
    expect(changed).not.toBe(BASE);
    expect(await digestOf(changed)).not.toBe(await digestOf(BASE));
  });

  it.each([
    ['description: what it is for', 'description: another'],
    ['packages: [git, npm]', 'packages:\n  - git # comes with\n  - npm'],
    ['machine: {network: none}', 'machine: {network: host, limits: {memory_max: 4G}}'],
    ['check: [node --version]', 'check: []'],
    ['update: rebuild', 'update: refresh'],
    ['keep: 1', 'keep: 5'],
    ['components: [main]', ''],
    ['name: ci', 'name: ci, home: /home/ci'],
  ])('stays with what changes without a new tree: %s → %s', async (from, to) => {
    const changed = BASE.replace(from, to);
    expect(changed).not.toBe(BASE);
    expect(await digestOf(changed)).toBe(await digestOf(BASE));
  });

  it('does not depend on the name, nor on where a file of the same content is', async () => {
    write('other', 'registry=https://npm.example.com/');
    const base = await digestOf(BASE);
    expect(await digestOf(BASE, 'another')).toBe(base);
    expect(await digestOf(BASE.replace('source: npmrc', 'source: other'))).toBe(base);
  });

  it.each(['npmrc', 'build', 'web.yml'])('changes with the content of "%s"', async (name) => {
    const before = await digestOf(BASE);
    write(name, '# changed');
    expect(await digestOf(BASE)).not.toBe(before);
  });

  it.each(['roles/web/tasks', 'files', 'group_vars'])(
    'changes with what the playbook finds in "%s"',
    async (path) => {
      const without = await digestOf(BASE);
      mkdirSync(join(dir, path), { recursive: true });
      write(`${path}/main.yml`, 'one');
      const one = await digestOf(BASE);
      write(`${path}/main.yml`, 'two');
      const two = await digestOf(BASE);
      expect(new Set([without, one, two]).size).toBe(3);
      write(`${path}/main.yml`, 'one');
      mkdirSync(join(dir, path, '__pycache__'));
      write(`${path}/__pycache__/filter.pyc`, 'x');
      for (const name of ['.galaxy_install_info', '.main.yml.swp', 'main.yml~'])
        write(`${path}/${name}`, 'x');
      await execa('mkfifo', [join(dir, path, '.#lock')]);
      expect(await digestOf(BASE)).toBe(one);
      chmodSync(join(dir, path, 'main.yml'), 0o755);
      expect(await digestOf(BASE)).not.toBe(one);
    },
  );

  it('changes with what links beside the playbook lead to, and ends where they go round', async () => {
    mkdirSync(join(dir, 'roles'));
    mkdirSync(join(dir, 'shared/tasks'), { recursive: true });
    write('shared/tasks/main.yml', 'one');
    symlinkSync('../shared', join(dir, 'roles/web'));
    symlinkSync('..', join(dir, 'shared/tasks/round'));
    symlinkSync('nowhere', join(dir, 'roles/dangling'));
    await execa('mkfifo', [join(dir, 'roles/fifo')]);
    const before = await digestOf(BASE);
    expect(await digestOf(BASE)).toBe(before);
    write('shared/tasks/main.yml', 'two');
    expect(await digestOf(BASE)).not.toBe(before);
  });

  it('does not ask for what is beside other files', async () => {
    const text = BASE.replace(/^playbook.*\n/gm, '');
    const before = await digestOf(text);
    mkdirSync(join(dir, 'roles'));
    expect(await digestOf(text)).toBe(before);
  });

  it('changes with the mode of a file that is copied with its mode', async () => {
    const before = await digestOf(BASE);
    chmodSync(join(dir, 'build'), 0o755);
    const after = await digestOf(BASE);
    expect(after).not.toBe(before);
    const given = BASE.replace('source: build}', "source: build, mode: '0755'}");
    const own = await digestOf(given);
    chmodSync(join(dir, 'build'), 0o600);
    expect(await digestOf(given)).toBe(own);
  });

  it.each(['npmrc', 'web.yml'])('cannot be told without "%s"', async (name) => {
    rmSync(join(dir, name));
    const error: unknown = await digestOf(BASE).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(SettingsError);
    expect(error).toMatchObject({
      message: `"${join(dir, name)}", which recipe "${join(dir, 'r.yaml')}" names, cannot be read.`,
      hint: 'Put it there, or correct the recipe; a relative path begins where the recipe is.',
    });
  });
});
