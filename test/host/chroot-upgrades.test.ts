/** How newer packages are found and installed: by a tree's own apt, from a repository in the tree. */
import { execa } from 'execa';
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { treeCommand } from '../../src/chroot/build-command.ts';
import { hasUpgrades, packageManagerOf } from '../../src/chroot/package-manager.ts';
import { chrootDir, findChroot } from '../../src/chroot/store.ts';
import { host, STATE_DIR } from './driver.ts';
import { SmallChroots } from './small-chroots.ts';
import { makeSite } from './source-site.ts';

const SOURCES = '/etc/apt/sources.list.d';
const NAME = 'upgrades';
const CHILD = 'upgrades-child';

let chroots: SmallChroots;
beforeAll(async () => {
  chroots = await SmallChroots.create();
  await addToArchive(chroots);
});
afterAll(async () => {
  expect(await chroots.left()).toEqual([]);
  await chroots.dispose();
});

/** The tree's only sources are packages `plain` and `pinned`, versions 0.9 and 1.0, in /srv/repo. */
async function addToArchive({ dir, archive }: SmallChroots): Promise<void> {
  const overlay = join(dir, 'overlay');
  await mkdir(join(overlay, SOURCES), { recursive: true });
  const line = 'deb [trusted=yes] file:/srv/repo ./\n';
  await writeFile(join(overlay, SOURCES, 'local.list'), line);
  await offer(overlay, '0.9');
  await offer(overlay, '1.0');
  await host('tar', `--file=${archive}`, '--delete', `.${SOURCES}/debian.sources`);
  await host('tar', `--directory=${overlay}`, `--file=${archive}`, '--append', '.');
}

/** Adds a version of each to the repository. */
async function offer(tree: string, version: string): Promise<void> {
  const repository = join(tree, 'srv/repo');
  await mkdir(repository, { recursive: true });
  const index = join(repository, 'Packages');
  let text = await readFile(index, 'utf8').catch(() => '');
  for (const name of ['plain', 'pinned']) {
    const file = `${name}_${version}.deb`;
    const control = await buildPackage(join(repository, file), name, version);
    const content = await readFile(join(repository, file));
    const sum = createHash('sha256').update(content).digest('hex');
    text += `${control}Filename: ./${file}\nSize: ${content.length}\nSHA256: ${sum}\n\n`;
  }
  await writeFile(index, text);
}

async function buildPackage(file: string, name: string, version: string): Promise<string> {
  const dir = await mkdtemp(join(chroots.dir, 'package-'));
  const fields = { Package: name, Version: version, Architecture: 'all', Maintainer: 'T <t@x>' };
  const lines = Object.entries(fields).map(([key, value]) => `${key}: ${value}\n`);
  const control = `${lines.join('')}Description: for a test\n`;
  await mkdir(join(dir, 'DEBIAN'), { mode: 0o755 });
  await writeFile(join(dir, 'DEBIAN/control'), control);
  await execa('dpkg-deb', ['--root-owner-group', '--build', dir, file]);
  await rm(dir, { recursive: true });
  return control;
}

async function create(packages: string, name = NAME): Promise<void> {
  const source = name === CHILD ? `extends: ${NAME}` : `tar: {location: ${chroots.archive}}`;
  const recipe = `${source}\nkeep: 0\nupdate: refresh\npackages: [${packages}]\n`;
  await chroots.writeFile(`recipes/${name}.yaml`, recipe);
  await chroots.succeed('create', name);
}

async function installed(name = NAME, format = '${Package}=${Version} '): Promise<string> {
  const query = [`--root=${await tree(name)}`, '--show', `--showformat=${format}`];
  return (await host('dpkg-query', ...query, 'plain', 'pinned')).trim();
}

async function tree(name = NAME): Promise<string> {
  return (await chroots.current(name)).path;
}

describe('a newer package', () => {
  afterEach(() => chroots.succeed('remove', NAME));

  it('is found and installed once, and a version that the recipe gives stays', async () => {
    await create('plain, pinned=1.0');
    expect(await installed()).toBe('pinned=1.0 plain=1.0');
    const none = await chroots.succeed('update', NAME);
    expect(none.stderr).toContain('nothing to do');
    expect(none.stderr).toContain('there are no newer packages');

    await offer(await tree(), '2.0');
    const found = await chroots.succeed('update', NAME);
    expect(found.stderr).toContain('a refreshed copy');
    expect(await installed()).toBe('pinned=1.0 plain=2.0');

    const after = await chroots.succeed('update', NAME);
    expect(after.stderr).toContain('there are no newer packages');
    expect(await chroots.versions(NAME)).toHaveLength(1);
  });

  it('is not found where nobody looked: a failing repository, or none', async () => {
    await create('plain, pinned');
    const { version, path } = await chroots.current(NAME);
    const list = join(path, SOURCES, 'local.list');
    await cp(list, join(chroots.dir, 'local.list'));
    await writeFile(list, 'deb [trusted=yes] file:/srv/nowhere ./\n');
    const failing = await chroots.run('update', NAME);
    expect(failing.exitCode).toBe(1);
    expect(failing.stderr).toContain(
      `Chroot "${NAME}" was not looked through: systemd-nspawn ended with exit status 100.`,
    );
    expect(failing.stderr).toContain('/srv/nowhere');
    await rm(list);
    const without = await chroots.run('update', NAME);
    expect(without.exitCode).toBe(1);
    expect(without.stderr).toContain(`Chroot "${NAME}" has no package lists`);
    expect((await chroots.current(NAME)).version).toBe(version);
  });

  it('stays out of the tree that is looked at', async () => {
    await create('plain, pinned');
    const before = await host('find', await tree(), '-xdev', '-newer', chroots.archive, '-ls');
    await chroots.succeed('update', NAME);
    expect(await host('find', await tree(), '-xdev', '-newer', chroots.archive, '-ls')).toBe(
      before,
    );
  });
});

describe('a version that the parent holds', () => {
  beforeAll(async () => {
    await create('plain, pinned=1.0');
    await offer(await tree(), '2.0');
    await offer(await tree(), '3.0');
  });
  afterEach(() => chroots.succeed('remove', CHILD));
  afterAll(() => chroots.succeed('remove', NAME));

  it.each([
    ['plain, pinned', 'pinned 1.0 hold, plain 3.0 install,'],
    ['pinned:amd64', 'pinned 1.0 hold, plain 1.0 install,'],
    ['plain=2.0, pinned', 'pinned 1.0 hold, plain 2.0 hold,'],
    ['plain, pinned=2.0', 'pinned 2.0 hold, plain 3.0 install,'],
    ['plain, pinned=0.9', 'pinned 0.9 hold, plain 3.0 install,'],
  ])('stays but for one that the child gives: %s', async (packages, expected) => {
    await create(packages, CHILD);
    expect(await installed(CHILD, '${Package} ${Version} ${db:Status-Want}, ')).toBe(expected);
  });

  it('does not pass for the package where that has been removed', async () => {
    const root = await tree();
    const dpkg = [`--root=${root}`, '--force-hold'];
    await host('dpkg', ...dpkg, '--purge', 'pinned');
    await host('dpkg', ...dpkg, '--merge-avail', join(root, 'srv/repo/Packages'));
    await execa('dpkg', [...dpkg, '--set-selections'], { input: 'pinned hold\n' });
    await expect(create('plain, pinned', CHILD)).rejects.toThrow('Held packages were changed');
  });
});

it("Debian's own mirror is read, in a tree without /etc/resolv.conf", async () => {
  const site = await makeSite();
  const chroot = await findChroot(STATE_DIR, 'debian-12');
  const manager = chroot && (await packageManagerOf(chroot.path));
  if (chroot === undefined || manager === undefined) throw new Error('The host has no debian-12.');
  const lines: string[] = [];
  const place = { tree: chroot.path, dir: chrootDir(STATE_DIR, chroot.name) };
  const command = treeCommand(place, { environment: {}, machine: { format: 1 } });
  const how = { ...site.how, onLine: (line: string) => void lines.push(line) };
  const found = await hasUpgrades(manager, { command, how });
  await site.remove();
  const text = lines.join('\n');
  expect(text).toMatch(/^Get:\d+ http:\S+ bookworm-security InRelease/m);
  const [, upgraded, added] = /^(\d+) upgraded, (\d+) newly installed/m.exec(text) ?? [];
  expect(found).toBe(Number(upgraded) + Number(added) > 0);
});
