import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  findRecipe,
  listRecipes,
  loadRecipe,
  type RecipePlaces,
} from '../../../src/chroot/recipe-file.ts';
import { SettingsError, UsageError, type Failure } from '../../../src/errors.ts';

const PLAYBOOK = '- hosts: all\n  vars: {nspawn_runner_chroot_suite: bookworm}\n';

describe('the file of a recipe', () => {
  let root = '';
  let places: RecipePlaces = { recipeDirs: [], playbookDirs: [], shippedDirs: [] };
  const write = (dir: string, file: string, text: string): void => {
    mkdirSync(join(root, dir), { recursive: true });
    writeFileSync(join(root, dir, file), text);
  };
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'recipes-'));
    const dir = (name: string): string => join(root, name);
    places = {
      recipeDirs: [dir('own'), dir('more')],
      playbookDirs: [dir('playbooks'), dir('state')],
      shippedDirs: [dir('shipped')],
    };
    write('own', 'debian-12.yaml', 'debian: {suite: bookworm}');
    write('own', 'notes.txt', 'no recipe');
    write('own', 'old.yml', 'debian: {suite: sid}');
    write('own', '.hidden.yaml', 'debian: {suite: sid}');
    write('shipped', 'debian-12.yaml', 'debian: {suite: sid}');
    write('shipped', 'other.yaml', 'debian: {suite: sid}');
    write('shipped', 'bad.yaml', 'debian: {suit: sid}');
    write('more', 'second.yaml', 'debian: {suite: sid}');
    write('playbooks', 'debian-12.yaml', PLAYBOOK);
    write('playbooks', 'web.yaml', PLAYBOOK);
    write('shipped', 'web.yaml', 'debian: {suite: sid}');
    write('state', 'settings.yaml', 'state_dir: /srv\n');
    write('state', 'db.yaml', PLAYBOOK);
    mkdirSync(join(root, 'own/directory.yaml'));
  });
  afterAll(() => {
    rmSync(root, { recursive: true });
  });
  const failureOf = (name: string, where = places): Promise<Failure> =>
    loadRecipe(name, where).then(
      () => expect.fail('no failure'),
      (error: unknown) => error as Failure,
    );

  it.each([
    ['debian-12', 'own/debian-12.yaml', 'bookworm'],
    ['other', 'shipped/other.yaml', 'sid'],
    ['second', 'more/second.yaml', 'sid'],
    ['web', 'playbooks/web.yaml', 'bookworm'],
    ['db', 'state/db.yaml', 'bookworm'],
  ])('of "%s" is the first that is found', async (name, file, suite) => {
    const recipe = await loadRecipe(name, places);
    expect(recipe).toMatchObject({ name, file: join(root, file), source: { suite } });
    expect(await findRecipe(name, places)).toEqual(recipe);
  });

  it('may be in a directory that comes after one that is not there', async () => {
    const recipeDirs = ['/nowhere', ...places.recipeDirs];
    expect(
      await findRecipe('second', { recipeDirs, playbookDirs: [], shippedDirs: [] }),
    ).toBeDefined();
  });

  it('is listed, with playbooks and without files that are neither', async () => {
    const listed = ['bad', 'db', 'debian-12', 'directory', 'other', 'second', 'web'];
    expect(await listRecipes(places)).toEqual(listed);
    expect(
      await listRecipes({ recipeDirs: ['/nowhere'], playbookDirs: ['/none'], shippedDirs: [] }),
    ).toEqual([]);
  });

  it.each(['old', 'notes', 'settings', 'bookworm'])('is not there for "%s"', async (name) => {
    expect(await findRecipe(name, places)).toBeUndefined();
  });

  it('is missing, and a near name is offered', async () => {
    const failure = await failureOf('debain-12');
    expect(failure).toBeInstanceOf(UsageError);
    expect(failure.message).toBe('There is no recipe "debain-12".');
    expect(failure.details).toEqual([
      'Recipes: bad, db, debian-12, directory, other, second, web.',
      `Searched: ${[...places.recipeDirs, ...places.shippedDirs].join(', ')}.`,
    ]);
    expect(failure.hint).toBe('Did you mean "debian-12"?');
  });

  it('is missing, and nothing is near', async () => {
    const failure = await failureOf('fedora', {
      recipeDirs: ['/nowhere'],
      playbookDirs: [],
      shippedDirs: [],
    });
    expect(failure.details).toEqual(['Recipes: none.', 'Searched: /nowhere.']);
    expect(failure.hint).toBe('Write "/nowhere/fedora.yaml"; docs/recipes.md shows how.');
  });

  it('is bad, and is named whole', async () => {
    const failure = await failureOf('bad');
    expect(failure).toBeInstanceOf(SettingsError);
    expect(failure.details[0]).toContain(join(root, 'shipped/bad.yaml'));
  });

  it('cannot be read', async () => {
    const failure = await failureOf('directory');
    expect(failure).toBeInstanceOf(SettingsError);
    expect(failure.message).toBe(`Recipe "${join(root, 'own/directory.yaml')}" cannot be read.`);
    expect(failure.details[0]).toMatch(/^EISDIR/);
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
