import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { withBuildLock } from '../../../src/chroot/build-lock.ts';
import { ChrootRemoved } from '../../../src/chroot/build.ts';
import { createBoard } from '../../../src/chroot/progress.ts';
import { recipeDigest } from '../../../src/chroot/recipe-digest.ts';
import { loadRecipe } from '../../../src/chroot/recipe-file.ts';
import { findChroot } from '../../../src/chroot/store.ts';
import { writeVersionRecord } from '../../../src/chroot/version.ts';
import { HostError, SettingsError, type Failure } from '../../../src/errors.ts';
import { defaultSettings } from '../../../src/settings.ts';
import { loadFamily, type FamilyMember } from '../../../src/upkeep/family.ts';
import { updateChroot, type Force, type Made } from '../../../src/upkeep/make-chroot.ts';
import type { Workshop } from '../../../src/upkeep/workshop.ts';

const VERSION = '20261120T220713Z-99cd6a';
const NEWER = '20261121T220713Z-99cd6a';

let dir = '';
let stateDir = '';
let web = '';
/** Called while the update looks, after it has found the chroot. */
let meanwhile: () => void = () => undefined;
let family: readonly FamilyMember[] = [];
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'make-chroot-'));
  stateDir = join(dir, 'state');
  web = join(stateDir, 'chroots/web');
  meanwhile = () => undefined;
  mkdirSync(join(dir, 'recipes'));
  addVersion('base', VERSION);
  addVersion('web', VERSION);
  await writeRecipe();
  await writeVersionRecord(join(web, 'versions', VERSION), {
    ...{ name: 'web', version: VERSION, created: '', origin: 'build', source: {}, keep: 1 },
    recipe: { file: '', digest: await recipeDigest(await loadRecipe('web', places()), undefined) },
    parent: { name: 'base', version: VERSION },
    ...{ environment: {}, nspawnRunner: '', bytes: 0, files: 0, setuid: [] },
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(dir, { recursive: true });
});

function addVersion(name: string, version: string): void {
  const chroot = join(stateDir, 'chroots', name);
  mkdirSync(join(chroot, 'versions', version, 'tree'), { recursive: true });
  rmSync(join(chroot, 'current'), { force: true });
  symlinkSync(`versions/${version}`, join(chroot, 'current'));
}
async function writeRecipe(line = ''): Promise<void> {
  writeFileSync(join(dir, 'recipes/web.yaml'), `extends: base\n${line}\n`);
  family = await loadFamily(['web'], places());
}
const remove = (): void => rmSync(web, { recursive: true, force: true });
const places = () => ({
  ...{ recipeDirs: [join(dir, 'recipes')], playbookDirs: [], shippedDirs: [] },
  hasChroot: async (name: string) => (await findChroot(stateDir, name)) !== undefined,
});
const workshop = (): Workshop => ({
  settings: {
    ...{ ...defaultSettings(), stateDir, minimumFreeSpace: {} },
    // The recipe's digest asks for it.
    get aptMirror() {
      meanwhile();
      return undefined;
    },
  },
  ...{ places: places(), trial: undefined, signal: new AbortController().signal },
  inUse: () => Promise.resolve({ versions: [], isCertain: true }),
  board: createBoard({ columns: undefined, write: () => undefined, now: () => 0 }),
});
const update = (force?: Force): Promise<Made> => {
  const recipe = family.find(({ name }) => name === 'web') ?? expect.fail('no recipe');
  return updateChroot(recipe, family, workshop(), force);
};
function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
const failureOf = (work: Promise<unknown>): Promise<Failure> =>
  work.then(
    () => expect.fail('no failure'),
    (error: unknown) => error as Failure,
  );

describe('a chroot that is removed while others are brought up to date', () => {
  it.each<Force>([undefined, 'refresh', 'rebuild'])('is not made again (%s)', async (force) => {
    remove();
    expect(await failureOf(update(force))).toBeInstanceOf(ChrootRemoved);
    expect(existsSync(web)).toBe(false);
  });

  it('is made where it was not there when the update began', async () => {
    remove();
    rmSync(join(stateDir, 'chroots/base'), { recursive: true });
    writeFileSync(join(dir, 'recipes/base.yaml'), 'oci: {image: x}');
    family = (await loadFamily(['web'], places())).filter(({ name }) => name === 'web');
    // It gets as far as to what it would be made of.
    const failure = await failureOf(update());
    expect(failure).toBeInstanceOf(SettingsError);
    expect(failure.message).toBe('Chroot "base", which "web" extends, is not there.');
  });
});

describe('a chroot whose parent is removed while others are brought up to date', () => {
  it.each<Force>([undefined, 'refresh', 'rebuild'])('keeps what it is (%s)', async (force) => {
    await writeRecipe('machine: {network: none}');
    const file = join(web, 'versions', VERSION, 'machine.json');
    const before = existsSync(file) ? readFileSync(file, 'utf8') : undefined;
    rmSync(join(stateDir, 'chroots/base'), { recursive: true });
    const failure = await failureOf(update(force));
    expect(failure.message).toBe('Chroot "base", which "web" extends, is not there.');
    expect(existsSync(file) ? readFileSync(file, 'utf8') : undefined).toBe(before);
    expect((await findChroot(stateDir, 'web'))?.version).toBe(VERSION);
  });
});

describe('a chroot that is removed while its own update looks', () => {
  it('has nothing to be remembered in', async () => {
    await writeRecipe('machine: {network: none}');
    meanwhile = remove;
    expect(await failureOf(update())).toBeInstanceOf(ChrootRemoved);
    expect(existsSync(web)).toBe(false);
  });

  it.each<Force>([undefined, 'refresh', 'rebuild'])('is not made again (%s)', async (force) => {
    addVersion('base', NEWER);
    meanwhile = remove;
    expect(await failureOf(update(force))).toBeInstanceOf(ChrootRemoved);
    expect(existsSync(web)).toBe(false);
  });

  it('is told as replaced where only its version has gone', async () => {
    meanwhile = () => {
      addVersion('web', NEWER);
      rmSync(join(web, 'versions', VERSION), { recursive: true, force: true });
    };
    await writeRecipe('machine: {network: none}');
    const failure = await failureOf(update());
    expect(failure).toBeInstanceOf(HostError);
    expect(failure).not.toBeInstanceOf(ChrootRemoved);
    expect(failure.message).toBe('Chroot "web" was removed or replaced while its update began.');
  });
});

describe('a chroot that is removed while its update waits for the lock', () => {
  /** The holder of the lock has its file open, and so has whoever waits for it: all of it is us. */
  async function waitForWaiter(): Promise<void> {
    const isLock = (fd: string): boolean =>
      linkOf(`/proc/self/fd/${fd}`) === join(web, 'build.lock');
    await vi.waitFor(
      () => expect(readdirSync('/proc/self/fd').filter(isLock).length).toBeGreaterThan(1),
      { timeout: 30_000 },
    );
  }

  it.each<Force>(['refresh', 'rebuild'])('is not made again (%s)', async (force) => {
    let updated: Promise<Failure> | undefined;
    await withBuildLock('web', web, async () => {
      updated = failureOf(update(force));
      await waitForWaiter();
      remove();
    });
    expect(await updated).toBeInstanceOf(ChrootRemoved);
    expect(await findChroot(stateDir, 'web')).toBeUndefined();
    expect(existsSync(web)).toBe(false);
  });
});

describe('what an update writes beside a version', () => {
  it.each([
    ['keep', 'keep: 3', 'ENOSPC', /make room, then try again/],
    ['settings for machines', 'machine: {network: none}', 'EROFS', /file system writable/],
  ])('of %s is told when the disk does not take it', async (_, line, code, hint) => {
    await writeRecipe(line);
    const probe = await open(dir, 'r');
    const handles = Object.getPrototypeOf(probe) as typeof probe;
    await probe.close();
    const error = Object.assign(new Error(`${code}: write`), { code });
    vi.spyOn(handles, 'writeFile').mockRejectedValue(error);
    const failure = await failureOf(update());
    expect(failure).toBeInstanceOf(HostError);
    expect(failure.message).toBe(`"${join(web, 'versions', VERSION)}" cannot be written.`);
    expect(failure.details).toEqual([`${code}: write`]);
    expect(failure.hint).toMatch(hint);
  });

  it('is what the recipe says', async () => {
    expect(await update()).toMatchObject({ did: 'settings' });
    expect(await update()).toMatchObject({ did: 'nothing' });
    await writeRecipe('machine: {network: none}');
    expect(await update()).toMatchObject({ did: 'settings' });
  });
});
