/** The chroot that a recipe extends, as it is now. */
import { dirname } from 'node:path';
import { missingParent, type ParentChroot } from '../chroot/build.ts';
import { readImageSettings } from '../chroot/image-settings.ts';
import type { Recipe } from '../chroot/recipe.ts';
import { findChroot } from '../chroot/store.ts';
import { readVersionRecord } from '../chroot/version.ts';
import { parentOf } from './family.ts';

/** Undefined for a recipe with a source of its own, and where the chroot is not there. */
export async function parentChroot(
  recipe: Recipe,
  stateDir: string,
): Promise<ParentChroot | undefined> {
  const name = parentOf(recipe);
  if (name === undefined) return undefined;
  const chroot = await findChroot(stateDir, name);
  if (chroot === undefined) return undefined;
  return {
    chroot,
    record: await readVersionRecord(dirname(chroot.path)),
    machine: readImageSettings(chroot.path),
  };
}

/**
 * For a version of the recipe, which has of the parent what holds for machines.
 * @throws SettingsError when the chroot that it extends is not there.
 */
export async function requireParent(
  recipe: Recipe,
  stateDir: string,
): Promise<ParentChroot | undefined> {
  const name = parentOf(recipe);
  const parent = await parentChroot(recipe, stateDir);
  if (name !== undefined && parent === undefined) throw missingParent(recipe, name);
  return parent;
}
