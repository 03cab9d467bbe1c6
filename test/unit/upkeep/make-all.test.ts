import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ChrootRemoved } from '../../../src/chroot/build.ts';
import { createBoard } from '../../../src/chroot/progress.ts';
import { parseRecipe } from '../../../src/chroot/recipe.ts';
import { HostError, SettingsError, Stopped } from '../../../src/errors.ts';
import { defaultSettings } from '../../../src/settings.ts';
import { tryLock } from '../../../src/tools/flock.ts';
import { makeAll } from '../../../src/upkeep/make-all.ts';
import type { Made } from '../../../src/upkeep/make-chroot.ts';
import type { Workshop } from '../../../src/upkeep/workshop.ts';

const VERSION = '20261120T220713Z-99cd6a';
const OLD = '20261119T220713Z-99cd6a';
const OLDER = '20261118T220713Z-99cd6a';

let stateDir = '';
let said = '';
let stop = new AbortController();
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'make-all-'));
  said = '';
  stop = new AbortController();
});
afterEach(() => {
  rmSync(stateDir, { recursive: true });
});

const workshop = (used: readonly string[] = []): Workshop => ({
  settings: { ...defaultSettings(), stateDir },
  places: { recipeDirs: [], playbookDirs: [], shippedDirs: [] },
  trial: undefined,
  inUse: () =>
    Promise.resolve({
      versions: used.map((version) => ({ chroot: 'base', version })),
      isCertain: true,
    }),
  board: createBoard({ columns: undefined, write: (text) => (said += text), now: () => 0 }),
  signal: stop.signal,
});
const recipe = (name: string, parent?: string) =>
  parseRecipe(
    name,
    `${name}.yaml`,
    parent === undefined ? 'oci: {image: x}' : `extends: ${parent}`,
  );
const FAMILY = [recipe('base'), recipe('web', 'base'), recipe('api', 'web'), recipe('other')];
const made = (name: string, did: Made['did'] = 'built'): Made => ({
  chroot: { name, version: VERSION, path: '', createdAt: new Date(0) },
  ...{ did, reason: 'nothing has changed upstream' },
});
type Maker = (name: string) => Made;
const all = (maker: Maker, recipes = FAMILY, shop = workshop()) =>
  makeAll(
    {
      ...{ recipes, width: 2, verb: 'made' },
      make: ({ name }) => Promise.resolve().then(() => maker(name)),
    },
    shop,
  );
const failing =
  (name: string, error: unknown): Maker =>
  (one) => {
    if (one === name) throw error;
    return made(one);
  };
const failureOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => expect.fail('no failure'),
    (error: unknown) => error,
  );

describe('chroots that are made in one go', () => {
  it('are given back in their order, and each is told', async () => {
    const results = await all((name) => made(name));
    expect(results.map(({ chroot }) => chroot.name)).toEqual(['base', 'web', 'api', 'other']);
    const lines = said.split('\n').map((line) => line.replace(/[\d.]+ s$/, 'N s'));
    expect(lines).toContain(`web: version ${VERSION} is current after N s`);
    expect(lines).toHaveLength(5);
  });

  it.each<[Made['did'], RegExp]>([
    ['built', /^other: version \S+ is current after [\d.]+ s$/],
    ['refreshed', /^other: version \S+ is current after [\d.]+ s, a refreshed copy$/],
    ['settings', /^other: version \S+ stays, with the recipe's new settings for machines$/],
    ['nothing', /^other: nothing to do, version \S+ stays: nothing has changed upstream$/],
  ])('tell when they are %s', async (did, line) => {
    await all((name) => made(name, did), [recipe('other')]);
    expect(said.trimEnd()).toMatch(line);
  });

  it('fail with the one failure where there is one chroot', async () => {
    const error = new HostError('No space.');
    expect(await failureOf(all(failing('other', error), [recipe('other')]))).toBe(error);
    expect(said).toBe('');
  });

  it('go on without those that extend what failed', async () => {
    const error = new SettingsError('Bad tree.', { hint: 'Mend it.' });
    const failure = await failureOf(all(failing('web', error)));
    expect(failure).toMatchObject({ message: '2 of 4 chroots were not made: web, api.' });
    expect(said).toContain('base: version');
    expect(said).toContain('other: version');
    expect(said).toContain('Bad tree.');
    expect(said).toContain('Mend it.');
    expect(said).toContain('api: not made, because "web" was not\n');
  });

  it('are counted also when it is one of several', async () => {
    const failure = await failureOf(all(failing('other', new HostError('No space.'))));
    expect(failure).toMatchObject({ message: '1 of 4 chroots was not made: other.' });
  });

  it('are named also when others fail', async () => {
    const names: string[] = [];
    const plan = {
      ...{ recipes: FAMILY, width: 1, verb: 'made' },
      make: ({ name }: { readonly name: string }) =>
        Promise.resolve(name).then(failing('web', new HostError('No space.'))),
      onMade: ({ chroot }: Made) => names.push(chroot.name),
    };
    await failureOf(makeAll(plan, workshop()));
    expect(names).toEqual(['base', 'other']);
  });

  it('are nothing to do where somebody removed one, and what extends it goes on', async () => {
    const results = await all(failing('base', new ChrootRemoved('base')));
    expect(results.map(({ chroot }) => chroot.name)).toEqual(['web', 'api', 'other']);
    expect(said).toContain('base: nothing to do: it was removed meanwhile\n');
    expect(said).not.toContain('base: old versions stay');
  });

  it('are not begun when we are told to stop', async () => {
    const begun: string[] = [];
    const failure = await failureOf(
      all((name) => {
        begun.push(name);
        stop.abort();
        return made(name);
      }),
    );
    expect(failure).toBeInstanceOf(Stopped);
    expect(begun.length).toBeLessThanOrEqual(2);
  });
});

describe('old versions of what was made', () => {
  beforeEach(() => {
    const dir = join(stateDir, 'chroots/base');
    for (const version of [OLDER, OLD, VERSION]) {
      mkdirSync(join(dir, 'versions', version, 'tree'), { recursive: true });
    }
    symlinkSync(`versions/${VERSION}`, join(dir, 'current'));
  });

  it.each<[string, readonly string[], string]>([
    ['go', [], 'base: removed 1 old version that no job uses'],
    ['stay while a job uses one', [OLDER], 'base: 1 old version stays until its jobs have ended'],
    [
      'stay while jobs use several',
      [OLD, OLDER],
      'base: 2 old versions stay until their jobs have ended',
    ],
  ])('%s', async (_, used, line) => {
    await all((name) => made(name), [recipe('base')], workshop(used));
    expect(said.trimEnd().split('\n').slice(1)).toEqual([line]);
  });

  const lines = async (): Promise<readonly string[]> => {
    await all((name) => made(name), [recipe('base')]);
    return said.trimEnd().split('\n').slice(1);
  };

  it('stay, and that is told, while somebody builds', async () => {
    const fd = openSync(join(stateDir, 'chroots/base/build.lock'), 'a+');
    try {
      expect(await tryLock(fd, 0)).toBe(true);
      expect(await lines()).toEqual([
        'base: old versions stay: Chroot "base" is being built already.',
      ]);
    } finally {
      closeSync(fd);
    }
  });

  it('stay, and that is told, where the record of the current one is torn', async () => {
    const path = join(stateDir, 'chroots/base/versions', VERSION, 'version.json');
    writeFileSync(path, '');
    expect(await lines()).toEqual([`base: old versions stay: "${path}" cannot be understood.`]);
  });
});
