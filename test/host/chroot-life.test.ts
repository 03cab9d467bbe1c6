/** The life of a chroot by the commands that an operator types: updated, changed, looked at, removed. */
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { isBuildLocked } from '../../src/chroot/build-lock.ts';
import { host, waitFor } from './driver.ts';
import { SmallChroots, type Ended } from './small-chroots.ts';

vi.setConfig({ testTimeout: 180_000 });

const NAME = 'life';
const CHILD = 'child';

let chroots: SmallChroots;

beforeAll(async () => {
  chroots = await SmallChroots.create();
  await chroots.writeRecipe(NAME);
  await chroots.succeed('create', NAME);
});
afterAll(() => chroots.dispose());
afterEach(async () => {
  expect(await chroots.unfinished(NAME)).toEqual([]);
  expect(await chroots.left()).toEqual([]);
});

const versionOf = async (name = NAME): Promise<string> => (await chroots.current(name)).version;

/** What `--json` says was done with each. */
async function done(
  verb: string,
  ...args: string[]
): Promise<readonly (readonly [string, string, string])[]> {
  const { stdout } = await chroots.succeed(verb, ...args, '--json');
  const rows = JSON.parse(stdout) as { name: string; did: string; reason: string }[];
  return rows.map(({ name, did, reason }) => [name, did, reason]);
}

async function inTree(path: string, name = NAME): Promise<string> {
  return (await readFile(join((await chroots.current(name)).path, path), 'utf8')).trim();
}

describe('update', () => {
  it('does nothing where nothing has changed, and says so', async () => {
    const version = await versionOf();
    const { stderr } = await chroots.succeed('update', NAME);
    expect(stderr).toContain(`${NAME}: nothing to do, version ${version} stays: `);
    expect(await versionOf()).toBe(version);
    expect(await done('update', '--all')).toEqual([[NAME, 'nothing', expect.any(String)]]);
  });

  it('builds again when the recipe has changed, and removes what nobody uses', async () => {
    const version = await versionOf();
    await chroots.writeRecipe(NAME, 'files: [{path: /etc/added, content: first}]');
    expect(await done('update', NAME)).toEqual([[NAME, 'built', 'the recipe has changed']]);
    expect(await inTree('etc/added')).toBe('first');
    expect(await chroots.versions(NAME)).toEqual([await versionOf()]);
    expect(await versionOf()).not.toBe(version);
  });

  it('builds again when the archive has changed', async () => {
    await host('cp', chroots.archive, `${chroots.archive}.new`);
    const added = join(chroots.dir, 'from-archive');
    await writeFile(added, 'new\n');
    await host(
      'tar',
      `--file=${chroots.archive}.new`,
      `--directory=${chroots.dir}`,
      '--append',
      'from-archive',
    );
    await rename(`${chroots.archive}.new`, chroots.archive);
    expect(await done('update', NAME)).toEqual([[NAME, 'built', expect.any(String)]]);
    expect(await inTree('from-archive')).toBe('new');
  });

  it('takes what holds for machines from the recipe without a new version', async () => {
    const version = await versionOf();
    await chroots.writeRecipe(
      NAME,
      'files: [{path: /etc/added, content: first}]\nmachine: {network: none}',
    );
    expect(await done('update', NAME)).toEqual([[NAME, 'settings', expect.any(String)]]);
    expect(await versionOf()).toBe(version);
    const { path } = await chroots.current(NAME);
    const machine = await readFile(join(dirname(path), 'machine.json'), 'utf8');
    expect(JSON.parse(machine)).toEqual({ format: 1, network: 'none' });
  });

  it('refuses a version that fails a check, with the last lines, and keeps the old one', async () => {
    const version = await versionOf();
    await chroots.writeRecipe(NAME, "check: ['echo on the way; exit 3']");
    const { exitCode, stderr } = await chroots.run('update', NAME);
    expect(exitCode).toBe(1);
    expect(stderr).toContain(`Chroot "${NAME}" was not made: jobs could not use its tree.`);
    expect(stderr).toContain('Check "echo on the way; exit 3" ended with exit status 3.');
    expect(stderr).toContain('| on the way');
    expect([await versionOf(), await chroots.versions(NAME)]).toEqual([version, [version]]);
    await chroots.writeRecipe(NAME);
  });
});

describe('list and show', () => {
  it('say what there is, for people and as JSON', async () => {
    const { version, path } = await chroots.current(NAME);
    const list = await chroots.succeed('list');
    expect(list.stdout).toMatch(new RegExp(`^${NAME} +${version} .* MiB +1 +0$`, 'm'));
    const json = JSON.parse((await chroots.succeed('list', '--json')).stdout) as unknown;
    expect(json).toMatchObject([{ name: NAME, version, path, versions: 1, jobs: 0 }]);
    const show = await chroots.succeed('show', NAME);
    for (const text of [`Tree: +${path}`, 'Made by: +build', 'Trial: +running after ']) {
      expect(show.stdout).toMatch(new RegExp(`^${text}`, 'm'));
    }
  });

  it('know no chroot of another name', async () => {
    const { exitCode, stderr } = await chroots.run('show', 'lfe');
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining('Did you mean "life"?')]);
  });
});

describe('login', () => {
  const login = (...args: string[]): Promise<Ended> => chroots.run('login', NAME, ...args);

  it('makes what is changed in a copy the current version', async () => {
    const version = await versionOf();
    const { exitCode, stderr } = await login('--', '/bin/sh', '-c', 'echo by hand >/etc/by-hand');
    expect([exitCode, stderr]).toEqual([
      0,
      expect.stringContaining('is current; the next rebuild'),
    ]);
    expect(await versionOf()).not.toBe(version);
    expect(await inTree('etc/by-hand')).toBe('by hand');
    expect((await chroots.succeed('show', NAME)).stdout).toMatch(/^Made by: +login$/m);
  });

  it.each([
    ['fails', ['--', '/bin/sh', '-c', 'rm /etc/by-hand; exit 3'], 3],
    ['is told to discard', ['--discard', '--', '/bin/rm', '/etc/by-hand'], 0],
  ])('throws it away when the command %s', async (_, args, status) => {
    const version = await versionOf();
    const { exitCode, stderr } = await login(...args);
    expect([exitCode, stderr]).toEqual([
      status,
      expect.stringContaining(`${NAME}: version ${version} stays, the copy is thrown away`),
    ]);
    expect(await inTree('etc/by-hand')).toBe('by hand');
  });

  it('refuses a tree that jobs could not use any more', async () => {
    const version = await versionOf();
    const { exitCode, stderr } = await login('--', '/bin/rm', '/usr/bin/git');
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining('"/usr/bin/git" is missing')]);
    expect(await versionOf()).toBe(version);
  });
});

describe('verify', () => {
  it('looks at what is current when its turn has come', async () => {
    await chroots.writeRecipe('a-first', 'check: [sleep 5]');
    await chroots.succeed('create', 'a-first');
    const [first] = await chroots.versions(NAME);
    const verifying = chroots.start('verify', '--all', '--json');
    const locked = (): Promise<boolean> => isBuildLocked(chroots.stateDir, 'a-first');
    await waitFor('the first to be verified', locked);
    verifying.kill('SIGSTOP', 'driver');
    await chroots.succeed('create', NAME);
    verifying.kill('SIGCONT', 'driver');
    const { exitCode, stdout, stderr } = await verifying.ended;
    const rows = JSON.parse(stdout) as { name: string; version: string; faults: string[] }[];
    const row = rows.find(({ name }) => name === NAME);
    expect(row?.version).toBe((await chroots.current(NAME)).version);
    expect(row?.version).not.toBe(first);
    expect([exitCode, row?.faults], stderr).toEqual([0, []]);
    await chroots.succeed('remove', 'a-first');
    await rm(join(chroots.dir, 'recipes/a-first.yaml'));
  });

  it('boots what is there, and names what was changed by hand', async () => {
    const { path, version } = await chroots.current(NAME);
    const good = await chroots.succeed('verify', '--all');
    expect(good.stderr).toMatch(new RegExp(`${NAME}: version ${version} is good, ready after `));
    const added = join(path, 'usr/bin/added');
    await writeFile(added, 'more', { mode: 0o4755 });
    await host('chmod', '4755', added);
    const bad = await chroots.run('verify', NAME);
    expect(bad.exitCode).toBe(1);
    expect(bad.stderr).toContain('"/usr/bin/added" has become set-user-ID or set-group-ID.');
    expect(bad.stderr).toContain(`Jobs cannot use 1 of 1: ${NAME}.`);
    await host('rm', added);
  });
});

describe('a chroot that extends another', () => {
  it('is made after its parent, and again when that has a new version', async () => {
    await chroots.succeed('remove', NAME);
    await chroots.writeFile(
      `recipes/${CHILD}.yaml`,
      `extends: ${NAME}\nfiles: [{path: /etc/child, content: a}]\n`,
    );
    await chroots.succeed('create', CHILD);
    expect(await inTree('etc/stamp', CHILD)).toBe(await inTree('etc/stamp'));
    expect(await inTree('etc/child', CHILD)).toBe('a');
    expect(await done('update', CHILD)).toEqual([
      [NAME, 'nothing', expect.any(String)],
      [CHILD, 'nothing', expect.any(String)],
    ]);
    await chroots.succeed('update', '--rebuild', NAME);
    expect(await done('update', '--all')).toEqual([
      [NAME, 'nothing', expect.any(String)],
      [CHILD, 'built', `chroot "${NAME}" has a new version`],
    ]);
    expect(await inTree('etc/stamp', CHILD)).toBe(await inTree('etc/stamp'));
  });
});

describe('an export that comes back', () => {
  it('has what the recipes on this host say, and nothing is to be done', async () => {
    const parent = ['machine: {network: none, limits: {memory_max: 1G}}', 'user: {name: builder}'];
    await chroots.writeRecipe('p', parent.join('\n'));
    await chroots.writeFile('recipes/u.yaml', 'extends: p\nuser: {name: other}\nkeep: 0\n');
    await chroots.succeed('create', 'u');
    const machine = async (): Promise<unknown> =>
      JSON.parse(
        await readFile(join((await chroots.current('u')).path, '../machine.json'), 'utf8'),
      );
    const before = await machine();
    expect(before).toMatchObject({ user: 'other', network: 'none' });
    const file = join(chroots.dir, 'u.tar.zst');
    const { stderr } = await chroots.succeed('export', 'u', file);
    const wrong = await chroots.run('import', file, `--sha256=${'0'.repeat(64)}`);
    expect([wrong.exitCode, wrong.stderr]).toEqual([
      1,
      expect.stringContaining('is not the file that --sha256 names.'),
    ]);
    const sha256 = /[0-9a-f]{64}/.exec(stderr)?.[0] ?? '';
    await chroots.succeed('import', file, `--sha256=${sha256}`);
    expect(await machine()).toEqual(before);
    expect(await done('update', 'u')).toEqual([
      ['p', 'nothing', expect.any(String)],
      ['u', 'nothing', expect.any(String)],
    ]);
    for (const name of ['u', 'p']) await chroots.succeed('remove', name);
    await chroots.succeed('import', file);
    expect(await machine()).toMatchObject({ user: 'other' });
    await chroots.succeed('remove', 'u');
    for (const name of ['u', 'p']) await host('rm', join(chroots.dir, 'recipes', `${name}.yaml`));
  });
});

describe('remove', () => {
  it('takes one old version, and refuses the current one', async () => {
    // A child keeps one by default.
    const versions = await chroots.versions(CHILD);
    const version = await versionOf(CHILD);
    const [old = ''] = versions.filter((one) => one !== version);
    const refused = await chroots.run('remove', CHILD, `--old=${version}`);
    expect([refused.exitCode, refused.stderr]).toEqual([
      2,
      expect.stringContaining('is the current one'),
    ]);
    await chroots.succeed('remove', CHILD, `--old=${old}`);
    expect(await chroots.versions(CHILD)).toEqual([version]);
  });

  it('takes all of a chroot, also where an earlier removal was killed', async () => {
    await chroots.succeed('remove', CHILD);
    const dir = join(chroots.stateDir, 'chroots', NAME);
    // As it is between the last version and the link to it.
    await rename(join(dir, 'current'), join(dir, 'building-removed-current'));
    await host('rm', '--recursive', join(dir, 'versions'));
    await host('mkdir', join(dir, 'versions'));
    await chroots.succeed('remove', NAME);
    expect(await readdir(join(chroots.stateDir, 'chroots'))).toEqual([]);
    const { exitCode, stderr } = await chroots.run('remove', NAME);
    expect([exitCode, stderr]).toEqual([
      2,
      expect.stringContaining(`There is no chroot "${NAME}".`),
    ]);
    await chroots.succeed('create', NAME);
  });
});
