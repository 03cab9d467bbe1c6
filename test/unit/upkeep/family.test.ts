import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SettingsError, UsageError, type Failure } from '../../../src/errors.ts';
import { loadFamily, loadGoodFamily, parentOf } from '../../../src/upkeep/family.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'family-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});
const write = (name: string, text: string): void => writeFileSync(join(dir, `${name}.yaml`), text);
const load = (...names: string[]) =>
  loadFamily(names, { recipeDirs: [dir], playbookDirs: [], shippedDirs: [] });
const failureOf = (...names: string[]): Promise<Failure> =>
  load(...names).then(
    () => expect.fail('no failure'),
    (error: unknown) => error as Failure,
  );

describe('recipes and what they extend', () => {
  beforeEach(() => {
    write('base', 'debian: {suite: sid}');
    write('web', 'extends: base');
    write('api', 'extends: web');
    write('other', 'extends: base');
  });

  it.each([
    [['base'], ['base']],
    [['api'], ['base', 'web', 'api']],
    [
      ['api', 'web', 'base'],
      ['base', 'web', 'api'],
    ],
    [
      ['other', 'api'],
      ['base', 'other', 'web', 'api'],
    ],
    [
      ['web', 'web'],
      ['base', 'web'],
    ],
    [[], []],
  ])('%j are made as %j', async (names, order) => {
    const family = await load(...names);
    expect(family.map(({ name }) => name)).toEqual(order);
    const parents = family.map(parentOf);
    expect(parents[0]).toBeUndefined();
  });

  it('a circle is told with its files', async () => {
    write('a', 'extends: b');
    write('b', 'extends: c');
    write('c', 'extends: b');
    const failure = await failureOf('a');
    expect(failure).toBeInstanceOf(SettingsError);
    expect(failure.message).toBe('Recipes extend each other: b → c → b.');
    expect(failure.details).toEqual([join(dir, 'b.yaml'), join(dir, 'c.yaml')]);
    expect(failure.hint).toBe('Give one of them a source of its own.');
  });

  it("a missing parent is told with its child's file and a near name", async () => {
    write('shop', 'extends: bas');
    const failure = await failureOf('base', 'shop');
    expect(failure).toBeInstanceOf(SettingsError);
    expect(failure.message).toBe(`${join(dir, 'shop.yaml')}, extends: There is no recipe "bas".`);
    expect(failure.details).toContain(`Searched: ${dir}.`);
    expect(failure.hint).toBe('Did you mean "base"?');
  });

  it('a missing parent is no fault where its chroot is there, imported', async () => {
    write('shop', 'extends: bas');
    const hasChroot = (name: string) => Promise.resolve(name === 'bas');
    const places = { recipeDirs: [dir], playbookDirs: [], shippedDirs: [], hasChroot };
    const family = await loadFamily(['shop'], places);
    expect(family.map(({ name }) => name)).toEqual(['shop']);
  });

  it('each is told with whether its chroot was there', async () => {
    const hasChroot = (name: string) => Promise.resolve(name === 'web');
    const places = { recipeDirs: [dir], playbookDirs: [], shippedDirs: [], hasChroot };
    const family = await loadFamily(['web'], places);
    expect(family.map(({ name, hadChroot }) => [name, hadChroot])).toEqual([
      ['base', false],
      ['web', true],
    ]);
  });

  it('a missing recipe that was named is the fault of who named it', async () => {
    const failure = await failureOf('base', 'weeb');
    expect(failure).toBeInstanceOf(UsageError);
    expect(failure.message).toBe('There is no recipe "weeb".');
  });

  it('a bad one stops itself and what extends it where the others go on', async () => {
    write('bad', 'debian: {suit: sid}');
    write('shop', 'extends: bad');
    const names = ['api', 'shop', 'bad', 'weeb', 'other'];
    const places = { recipeDirs: [dir], playbookDirs: [], shippedDirs: [] };
    const { recipes, bad } = await loadGoodFamily(names, places);
    expect(recipes.map(({ name }) => name)).toEqual(['base', 'web', 'api', 'other']);
    expect(bad.map(({ name, error }) => [name, error.name])).toEqual([
      ['shop', 'SettingsError'],
      ['bad', 'SettingsError'],
      ['weeb', 'UsageError'],
    ]);
  });

  it('a bad parent is told before anything is made', async () => {
    write('bad', 'debian: {suit: sid}');
    write('shop', 'extends: bad');
    const failure = await failureOf('base', 'shop');
    expect(failure.details[0]).toContain(join(dir, 'bad.yaml'));
  });
});
