/** Recipes and what they extend, in the order in which they can be made. */
import { loadRecipe, type RecipePlaces } from '../chroot/recipe-file.ts';
import type { Recipe } from '../chroot/recipe.ts';
import { Failure, SettingsError, UsageError } from '../errors.ts';

export interface FamilyPlaces extends RecipePlaces {
  /** Whether a chroot is there: an imported one needs no recipe to be extended. */
  readonly hasChroot?: (name: string) => Promise<boolean>;
}

export interface FamilyMember extends Recipe {
  /** Whether its chroot was there when the family was read. */
  readonly hadChroot?: boolean;
}

/** What a recipe extends; undefined for one with a source of its own. */
export function parentOf(recipe: Recipe): string | undefined {
  return recipe.source.kind === 'extends' ? recipe.source.parent : undefined;
}

/**
 * The recipes of `names` and of all that they extend, parents first; each is read once, and all of
 * them before anything is made, so that a fault in the last is told now.
 * @throws UsageError for a name without a recipe, SettingsError for a bad one and for a circle.
 */
export async function loadFamily(
  names: readonly string[],
  places: FamilyPlaces,
): Promise<readonly FamilyMember[]> {
  const recipes = new Map<string, FamilyMember>();
  const visit = async (name: string, children: readonly Recipe[]): Promise<void> => {
    const circle = children.findIndex((child) => child.name === name);
    if (circle >= 0) throw circular(children.slice(circle));
    if (recipes.has(name)) return;
    const recipe = await loadChild(name, children.at(-1), places);
    if (recipe === undefined) return;
    const parent = parentOf(recipe);
    if (parent !== undefined) await visit(parent, [...children, recipe]);
    recipes.set(name, { ...recipe, hadChroot: (await places.hasChroot?.(name)) === true });
  };
  for (const name of names) await visit(name, []);
  return [...recipes.values()];
}

export interface BadRecipe {
  readonly name: string;
  readonly error: Failure;
}

/** The same without those that are bad or extend what is bad: a timer must not stop for one of them. */
export async function loadGoodFamily(
  names: readonly string[],
  places: FamilyPlaces,
): Promise<{ readonly recipes: readonly FamilyMember[]; readonly bad: readonly BadRecipe[] }> {
  const good: string[] = [];
  const bad: BadRecipe[] = [];
  for (const name of names) {
    try {
      await loadFamily([name], places);
      good.push(name);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      bad.push({ name, error });
    }
  }
  return { recipes: await loadFamily(good, places), bad };
}

async function loadChild(
  name: string,
  child: Recipe | undefined,
  places: FamilyPlaces,
): Promise<Recipe | undefined> {
  try {
    return await loadRecipe(name, places);
  } catch (error) {
    if (child === undefined || !(error instanceof UsageError)) throw error;
    if ((await places.hasChroot?.(name)) === true) return undefined;
    throw new SettingsError(`${child.file}, extends: ${error.message}`, {
      details: error.details,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      cause: error,
    });
  }
}

function circular(circle: readonly Recipe[]): SettingsError {
  const names = circle.map(({ name }) => name);
  return new SettingsError(`Recipes extend each other: ${[...names, names[0]].join(' → ')}.`, {
    details: circle.map(({ file }) => file),
    hint: 'Give one of them a source of its own.',
  });
}
