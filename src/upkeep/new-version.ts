/** Versions that no recipe made: changed by hand in a copy, or brought from elsewhere. */
import { dirname } from 'node:path';
import { machineOf, type BuildRequest } from '../chroot/build.ts';
import { withBuildLock } from '../chroot/build-lock.ts';
import { putInPlace } from '../chroot/put-in-place.ts';
import { withSite, type Site } from '../chroot/build-site.ts';
import { finishTree } from '../chroot/finish-tree.ts';
import { readImageSettings, type ImageSettings } from '../chroot/image-settings.ts';
import { DEFAULT_KEEP } from '../chroot/recipe.ts';
import { recipeDigest } from '../chroot/recipe-digest.ts';
import type { Progress } from '../chroot/progress.ts';
import { chrootDir, type Chroot } from '../chroot/store.ts';
import type { ConfinedRun } from '../tools/confined.ts';
import { copyTree } from '../chroot/tree-storage.ts';
import { readUpstream, readVersionRecord, type VersionRecord } from '../chroot/version.ts';
import { findRecipe } from '../chroot/recipe-file.ts';
import { SettingsError } from '../errors.ts';
import { prune } from './make-all.ts';
import { requireFreeSpace } from './disk-space.ts';
import { parentOf } from './family.ts';
import { parentChroot } from './parent-chroot.ts';
import { requireChroot } from './require-chroot.ts';
import type { Workshop } from './workshop.ts';

/**
 * Lets `change` work in a copy of the current version and makes that current.
 * @param change resolves to false when its work is to be thrown away.
 */
export async function changeByHand(
  { name }: Pick<Chroot, 'name'>,
  workshop: Workshop,
  change: (site: Site) => Promise<boolean>,
): Promise<Chroot | undefined> {
  const { settings, places, trial } = workshop;
  await requireFreeSpace(settings);
  const recipe = await findRecipe(name, places);
  const changed = await atSite(name, workshop, async (site) => {
    // Only under the lock is it the one that jobs use: an update may have ended a moment ago.
    const chroot = await requireChroot(name, settings);
    const directory = dirname(chroot.path);
    const record = await readVersionRecord(directory);
    site.progress.step(`copying version ${chroot.version}`);
    await copyTree(chroot.path, site.tree, site.how);
    if (!(await change(site))) return undefined;
    const environment = record?.environment ?? {};
    await finishTree(site.tree, { mask: [], enable: [], environment }, site.how);
    return putInPlace(site, {
      ...{ origin: 'login', environment, trial, source: record?.source ?? {} },
      ...(record?.recipe === undefined ? {} : { recipe: record.recipe }),
      ...(record?.parent === undefined ? {} : { parent: record.parent }),
      keep: record?.keep ?? DEFAULT_KEEP,
      machine: readImageSettings(chroot.path),
      checks: recipe?.check ?? [],
      upstream: await readUpstream(directory),
      remedy: 'Log in again and mend it; what you changed is gone.',
    });
  });
  if (changed !== undefined) await prune(name, workshop);
  return changed;
}

export interface Brought extends Pick<VersionRecord, 'source' | 'environment' | 'recipe'> {
  /** What holds for its machines where this host has no recipe of that name. */
  readonly machine: ImageSettings;
}

/** Makes a version of a tree that `bring` puts into the site. */
export async function bringIn(
  name: string,
  workshop: Workshop,
  bring: (site: Site) => Promise<Brought>,
): Promise<Chroot> {
  const { settings, places, trial } = workshop;
  await requireFreeSpace(settings);
  const recipe = await findRecipe(name, places);
  const checks = recipe?.check ?? [];
  const keep = recipe?.keep ?? DEFAULT_KEEP;
  const parent = recipe && (await parentChroot(recipe, settings.stateDir));
  const chroot = await atSite(name, workshop, async (site) => {
    const brought = await bring(site);
    return putInPlace(site, {
      ...{ source: brought.source, environment: brought.environment },
      ...(recipe && (await sameRecipe(brought, { recipe, parent, aptMirror: settings.aptMirror }))),
      ...{ origin: 'import', upstream: undefined, trial, checks, keep },
      machine: recipe === undefined ? brought.machine : machineOf(recipe, parent),
      remedy: 'Mend it where it comes from, and bring it again.',
    });
  });
  await prune(name, workshop);
  return chroot;
}

type RecipeHere = Pick<BuildRequest, 'recipe' | 'parent' | 'aptMirror'>;

/**
 * What an update goes on from, where the tree was made from the recipe that this host has; without
 * it an import stays until a rebuild is asked for, update-decision.ts.
 */
async function sameRecipe(
  { recipe: theirs }: Brought,
  { recipe, parent, aptMirror }: RecipeHere,
): Promise<Pick<VersionRecord, 'recipe' | 'parent'>> {
  if (theirs === undefined || (parentOf(recipe) !== undefined && parent === undefined)) return {};
  const digest = await recipeDigest(recipe, aptMirror).catch((error: unknown) => {
    // A file that it names is missing: nobody can tell, and the tree is good without it.
    if (error instanceof SettingsError) return undefined;
    throw error;
  });
  if (theirs.digest !== digest) return {};
  if (parent === undefined) return { recipe: theirs };
  return {
    recipe: theirs,
    parent: { name: parent.chroot.name, version: parent.chroot.version },
  };
}

async function atSite<T>(
  name: string,
  { settings, board, signal }: Workshop,
  work: (site: Site) => Promise<T>,
): Promise<T> {
  const progress = board.open(name);
  try {
    return await withSite({ stateDir: settings.stateDir, name, progress, signal }, work);
  } finally {
    board.close(name);
  }
}

/** Reads a version of which no other build takes anything away meanwhile. */
export async function withVersionOf<T>(
  { name }: Chroot,
  { settings, board, signal }: Workshop,
  work: (how: ConfinedRun & Pick<Progress, 'step'>) => Promise<T>,
): Promise<T> {
  const { step, line } = board.open(name);
  try {
    return await withBuildLock(name, chrootDir(settings.stateDir, name), (lockFd) =>
      work({ lockFd, signal, onLine: line, step }),
    );
  } finally {
    board.close(name);
  }
}
