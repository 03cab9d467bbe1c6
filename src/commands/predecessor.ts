/** Commands on chroots by the names that they have in the Python tool of the same name. */
import { dirname, join } from 'node:path';
import { predecessorTrees } from '../chroot/adopt-tree.ts';
import { sourceOfSuite, withoutPlaybook } from '../chroot/predecessor.ts';
import { findRecipe, listRecipes } from '../chroot/recipe-file.ts';
import type { Recipe } from '../chroot/recipe.ts';
import { recipeDigest } from '../chroot/recipe-digest.ts';
import { findChroot, isChrootName, listChroots, type Chroot } from '../chroot/store.ts';
import { readVersionRecord } from '../chroot/version.ts';
import { Failure, UsageError } from '../errors.ts';
import { say, warn } from '../log.ts';
import { renderError } from '../render-error.ts';
import { requireRoot } from '../root.ts';
import { loadSettings, type Settings } from '../settings.ts';
import { loadFamily } from '../upkeep/family.ts';
import { makeAll } from '../upkeep/make-all.ts';
import { createChroot, updateChroot, type Force, type Made } from '../upkeep/make-chroot.ts';
import { inWorkshop, recipePlaces, type Workshop } from '../upkeep/workshop.ts';

export interface ImageArguments {
  readonly image?: string | undefined;
  readonly 'default-image'?: string | undefined;
  readonly settings?: string | undefined;
}

export interface SuiteArguments extends ImageArguments {
  readonly suite?: string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULT_SUITE = 'unstable';
const SUITE = /^[a-z][a-z0-9.-]*$/;

/**
 * The chroot that an image is there: its last part, or the tag of that, so `…/base:unstable` is
 * `unstable`.
 * @throws UsageError without an image, and for one that names no chroot.
 */
export function chrootOfImage(args: ImageArguments, env: Environment = process.env): string {
  const image = args.image ?? env['CUSTOM_ENV_CI_JOB_IMAGE'] ?? args['default-image'];
  if (image === undefined) {
    throw new UsageError('Say which image, or set CUSTOM_ENV_CI_JOB_IMAGE.', {
      hint: '`nspawn-runner chroot-list` lists those that are there.',
    });
  }
  const name = image.slice(image.lastIndexOf('/') + 1).replace(/^.*:/, '');
  if (isChrootName(name)) return name;
  throw new UsageError(`Image "${image}" names no chroot.`, {
    hint: 'The last part, or its tag, is the name: at most 64 letters, digits, ".", "_" and "-", the first a letter or a digit.',
  });
}

/** `chroot-list`: name and path, of chroots and of playbooks that have none yet. */
export async function formerList(args: Pick<ImageArguments, 'settings'>): Promise<number> {
  const settings = await loadSettings(args.settings);
  requireRoot('chroot-list');
  const { stateDir } = settings;
  const chroots = await listChroots(stateDir);
  const paths = new Map(chroots.map(({ name, path }) => [name, path]));
  for (const name of await playbookNames(settings)) {
    if (!paths.has(name)) paths.set(name, join(stateDir, 'chroots', name));
  }
  const lines = [...paths].sort().map(([name, path]) => `${name} ${path}\n`);
  process.stdout.write(lines.join(''));
  for (const { name, path } of await predecessorTrees(stateDir)) {
    if (!chroots.some((chroot) => chroot.name === name)) {
      say(`"${path}" is not used yet; take it over with: nspawn-runner chroot import ${path}`);
    }
  }
  return 0;
}

/** `chroot-create`: from the playbook, or from debootstrap's suite alone. */
export async function formerCreate(args: SuiteArguments, signal: AbortSignal): Promise<number> {
  const name = chrootOfImage(args);
  const settings = await loadSettings(args.settings);
  const there = await findChroot(settings.stateDir, name);
  if (there !== undefined) {
    throw new UsageError(`Chroot "${name}" is there already.`, {
      details: [`Its current version is ${there.version}.`],
      hint: `Bring it up to date with: nspawn-runner chroot-maintenance ${name}`,
    });
  }
  const recipe = await recipeOf(name, args.suite, settings);
  requireRoot('chroot-create');
  const family = recipe.source.kind === 'extends' ? await familyOf([name], settings) : [recipe];
  const missing: Recipe[] = [];
  for (const one of family) {
    if ((await findChroot(settings.stateDir, one.name)) === undefined) missing.push(one);
  }
  return inWorkshop(settings, signal, async (workshop) => {
    const make = (one: Recipe): Promise<Made> => createChroot(one, family, workshop);
    await makeAll({ recipes: missing, make, width: 1, verb: 'made' }, workshop);
    return 0;
  });
}

async function recipeOf(
  name: string,
  suite: string | undefined,
  settings: Settings,
): Promise<Recipe> {
  if (suite !== undefined && !SUITE.test(suite)) {
    throw new UsageError(`--suite: expected the name of a suite such as bookworm, got "${suite}".`);
  }
  const recipe = await findRecipe(name, recipePlaces(settings));
  if (recipe === undefined) return withoutPlaybook(name, suite ?? DEFAULT_SUITE);
  if (suite === undefined) return recipe;
  if (recipe.playbook?.file !== recipe.file) {
    throw new UsageError(`--suite: recipe "${recipe.file}" says what the tree is made of.`, {
      hint: 'Leave --suite out, or change the recipe.',
    });
  }
  const source = sourceOfSuite(suite);
  if (JSON.stringify(source) !== JSON.stringify(recipe.source)) {
    warn(
      `${name}: the next maintenance takes the suite of "${recipe.file}"; set nspawn_runner_chroot_suite: ${suite} there.`,
    );
  }
  return { ...recipe, source };
}

/**
 * `chroot-maintenance`: one, or all that have a playbook and all others that have a recipe. What is
 * missing is made; what is there is made again where its playbook wants that, else refreshed in a
 * copy. One that fails does not stop the others.
 */
export async function formerMaintenance(
  args: Pick<ImageArguments, 'image' | 'settings'>,
  signal: AbortSignal,
): Promise<number> {
  const settings = await loadSettings(args.settings);
  requireRoot('chroot-maintenance');
  const { recipes, bad } = await recipesToMaintain(args.image, settings);
  return inWorkshop(settings, signal, async (workshop) => {
    const make = async (recipe: Recipe): Promise<Made> =>
      updateChroot(recipe, recipes, workshop, await forceOf(recipe, workshop));
    await makeAll({ recipes, make, width: 1, verb: 'maintained' }, workshop);
    return bad === 0 ? 0 : 1;
  });
}

/** A recipe that changed is followed: a copy of what another one made is not what it says. */
async function forceOf(recipe: Recipe, { settings }: Workshop): Promise<Force> {
  if (recipe.playbook?.file !== recipe.file) return undefined;
  if (recipe.update === 'rebuild') return 'rebuild';
  const chroot = await findChroot(settings.stateDir, recipe.name);
  return chroot !== undefined && (await isMadeFrom(recipe, chroot, settings))
    ? 'refresh'
    : undefined;
}

/** So is a tree that was brought from elsewhere: its playbook keeps it up to date. */
async function isMadeFrom(
  recipe: Recipe,
  { path }: Chroot,
  { aptMirror }: Settings,
): Promise<boolean> {
  const record = await readVersionRecord(dirname(path));
  if (record === undefined) return false;
  const isBrought = ['import', 'login'].includes(record.origin);
  return record.recipe === undefined
    ? isBrought
    : record.recipe.digest === (await recipeDigest(recipe, aptMirror));
}

/** With all, a bad file is told at once and costs the others nothing. */
async function recipesToMaintain(
  image: string | undefined,
  settings: Settings,
): Promise<{ readonly recipes: readonly Recipe[]; readonly bad: number }> {
  if (image !== undefined) return { recipes: await familyOf([image], settings), bad: 0 };
  const recipes = new Map<string, Recipe>();
  let bad = 0;
  for (const name of await namesToMaintain(settings)) {
    try {
      for (const recipe of await familyOf([name], settings)) recipes.set(recipe.name, recipe);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      process.stderr.write(renderError(error));
      bad += 1;
    }
  }
  return { recipes: [...recipes.values()], bad };
}

async function namesToMaintain(settings: Settings): Promise<readonly string[]> {
  const recipes = await listRecipes(recipePlaces(settings));
  const chroots = await listChroots(settings.stateDir);
  const withRecipe = chroots.map(({ name }) => name).filter((name) => recipes.includes(name));
  return [...new Set([...withRecipe, ...(await playbookNames(settings))])].sort();
}

async function playbookNames(settings: Settings): Promise<readonly string[]> {
  return listRecipes({ ...recipePlaces(settings), recipeDirs: [], shippedDirs: [] });
}

async function familyOf(names: readonly string[], settings: Settings): Promise<readonly Recipe[]> {
  return loadFamily(names, recipePlaces(settings));
}
