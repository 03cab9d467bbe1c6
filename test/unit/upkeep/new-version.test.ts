import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createBoard } from '../../../src/chroot/progress.ts';
import { recipeDigest } from '../../../src/chroot/recipe-digest.ts';
import { loadRecipe } from '../../../src/chroot/recipe-file.ts';
import { readVersionRecord, type VersionRecord } from '../../../src/chroot/version.ts';
import { defaultSettings } from '../../../src/settings.ts';
import { loadFamily } from '../../../src/upkeep/family.ts';
import { updateChroot, type Made } from '../../../src/upkeep/make-chroot.ts';
import { bringIn } from '../../../src/upkeep/new-version.ts';
import type { Workshop } from '../../../src/upkeep/workshop.ts';

vi.stubGlobal('NSPAWN_RUNNER_VERSION', 'test');

const PARENT = '20261120T220713Z-99cd6a';
const FILES = [
  ...['usr/lib/systemd/systemd', 'sbin/init', 'usr/bin/dbus-daemon', 'bin/sh', 'bin/bash'],
  ...['bin/cat', 'usr/bin/git', 'etc/machine-id'],
];

let dir = '';
let workshop: Workshop;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'new-version-'));
  mkdirSync(join(dir, 'recipes'));
  workshop = {
    settings: { ...defaultSettings(), stateDir: join(dir, 'state'), minimumFreeSpace: {} },
    places: {
      ...{ recipeDirs: [join(dir, 'recipes')], playbookDirs: [], shippedDirs: [] },
      hasChroot: () => Promise.resolve(true),
    },
    trial: undefined,
    inUse: () => Promise.resolve({ versions: [], isCertain: true }),
    board: createBoard({ columns: undefined, write: () => undefined, now: () => 0 }),
    signal: new AbortController().signal,
  };
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

const write = (text: string, file = 'web.yaml'): void =>
  writeFileSync(join(dir, 'recipes', file), text);
function makeParent(): void {
  const base = join(workshop.settings.stateDir, 'chroots/base');
  mkdirSync(join(base, 'versions', PARENT, 'tree'), { recursive: true });
  symlinkSync(`versions/${PARENT}`, join(base, 'current'));
}
const digestHere = async (aptMirror?: string): Promise<string> =>
  recipeDigest(await loadRecipe('web', workshop.places), aptMirror);
/** An export of another host, whose recipe had this digest. */
async function bring(digest: string): Promise<VersionRecord | undefined> {
  const { path } = await bringIn('web', workshop, ({ tree }) => {
    for (const path of FILES) {
      mkdirSync(dirname(join(tree, path)), { recursive: true });
      writeFileSync(join(tree, path), '');
    }
    const recipe = { file: '/there/web.yaml', digest };
    return Promise.resolve({ source: {}, environment: {}, machine: { format: 1 }, recipe });
  });
  return readVersionRecord(dirname(path));
}
async function update(): Promise<Made> {
  const family = await loadFamily(['web'], workshop.places);
  const recipe = family.find(({ name }) => name === 'web') ?? expect.fail('no recipe');
  return updateChroot(recipe, family, workshop, undefined);
}

describe('an export that is brought in', () => {
  it('is of the recipe here where it is the same one, and of the parent here', async () => {
    write('extends: base');
    makeParent();
    const record = await bring(await digestHere());
    expect(record).toMatchObject({
      origin: 'import',
      recipe: { digest: await digestHere() },
      parent: { name: 'base', version: PARENT },
    });
    expect(await update()).toMatchObject({ did: 'nothing' });
  });

  it('stays until a rebuild is asked for where the recipe here is another one', async () => {
    write('extends: base\npackages: [curl]');
    makeParent();
    const theirs = await digestHere();
    write('extends: base');
    const record = await bring(theirs);
    expect(record).not.toHaveProperty('recipe');
    expect(record).not.toHaveProperty('parent');
    const reason = 'it was imported; --rebuild makes it from its recipe';
    expect(await update()).toMatchObject({ did: 'nothing', reason });
  });

  it('is of another recipe where the mirror is another one', async () => {
    write('debian: {suite: sid}');
    const theirs = await digestHere('http://mirror.invalid/debian');
    expect(await bring(theirs)).not.toHaveProperty('recipe');
    expect(await bring(await digestHere())).toHaveProperty('recipe');
  });

  it('stays where the chroot that its recipe extends is not here', async () => {
    write('extends: base');
    expect(await bring(await digestHere())).not.toHaveProperty('recipe');
  });

  it('comes without a recipe, or with one of which a file is missing', async () => {
    expect(await bring('a')).not.toHaveProperty('recipe');
    write('extends: base\nfiles: [{path: /etc/motd, source: motd}]');
    write('', 'motd');
    makeParent();
    const theirs = await digestHere();
    rmSync(join(dir, 'recipes/motd'));
    expect(await bring(theirs)).not.toHaveProperty('recipe');
  });
});
