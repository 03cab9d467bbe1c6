/** Where recipes are found. */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { SettingsError, UsageError } from '../errors.ts';
import { nearest } from '../file-problems.ts';
import { isPlaybook, recipeOfPlaybook } from './predecessor.ts';
import { parseRecipe, type Recipe } from './recipe.ts';
import { isChrootName } from './store.ts';

export interface RecipePlaces {
  /** The operator's, NAME.yaml; the first that has one wins. */
  readonly recipeDirs: readonly string[];
  /** Where the Python tool of the same name has its playbooks, NAME.yaml or NAME.yml; asked next. */
  readonly playbookDirs: readonly string[];
  /** The recipes that come with the program, which must not hide a playbook; asked last. */
  readonly shippedDirs: readonly string[];
}

/**
 * Reads the recipe of one name.
 * @throws UsageError when there is none, SettingsError with every problem of the file.
 */
export async function loadRecipe(name: string, places: RecipePlaces): Promise<Recipe> {
  if (!isChrootName(name)) {
    throw new UsageError(`"${name}" cannot be the name of a chroot.`, {
      hint: 'Use at most 64 letters, digits, ".", "_" and "-", the first a letter or a digit.',
    });
  }
  const found = await findRecipe(name, places);
  if (found === undefined) throw await missingRecipe(name, places);
  return found;
}

/** The same, with undefined when there is none. */
export async function findRecipe(name: string, places: RecipePlaces): Promise<Recipe | undefined> {
  return (
    (await recipeIn(places.recipeDirs, name)) ??
    (await playbookIn(places.playbookDirs, name)) ??
    (await recipeIn(places.shippedDirs, name))
  );
}

async function recipeIn(dirs: readonly string[], name: string): Promise<Recipe | undefined> {
  for (const dir of dirs) {
    const file = join(dir, `${name}.yaml`);
    const text = await readIfThere(file);
    if (text !== undefined) return parseRecipe(name, file, text);
  }
  return undefined;
}

async function playbookIn(dirs: readonly string[], name: string): Promise<Recipe | undefined> {
  for (const dir of dirs) {
    for (const file of [join(dir, `${name}.yaml`), join(dir, `${name}.yml`)]) {
      const text = await readIfThere(file);
      if (text !== undefined && isPlaybook(text, file)) return recipeOfPlaybook(name, file, text);
    }
  }
  return undefined;
}

/** The names that have a recipe, sorted. */
export async function listRecipes(places: RecipePlaces): Promise<readonly string[]> {
  const dirs = [...places.recipeDirs, ...places.shippedDirs];
  const recipes = await Promise.all(dirs.map((dir) => namesIn(dir, ['.yaml'])));
  const names = new Set(recipes.flat());
  for (const dir of places.playbookDirs) {
    for (const name of await namesIn(dir, ['.yaml', '.yml'])) {
      if (!names.has(name) && (await isPlaybookName(name, dir))) names.add(name);
    }
  }
  return [...names].filter(isChrootName).sort();
}

async function isPlaybookName(name: string, dir: string): Promise<boolean> {
  for (const file of [join(dir, `${name}.yaml`), join(dir, `${name}.yml`)]) {
    const text = await readIfThere(file);
    if (text !== undefined && isPlaybook(text, file)) return true;
  }
  return false;
}

async function namesIn(dir: string, suffixes: readonly string[]): Promise<readonly string[]> {
  const files = await readdir(dir).catch(() => []);
  return files.flatMap((file) => {
    const suffix = suffixes.find((end) => file.endsWith(end));
    return suffix === undefined ? [] : [file.slice(0, -suffix.length)];
  });
}

async function missingRecipe(name: string, places: RecipePlaces): Promise<UsageError> {
  const names = await listRecipes(places);
  const near = nearest(name, names);
  const first = places.recipeDirs[0] ?? '';
  return new UsageError(`There is no recipe "${name}".`, {
    details: [
      `Recipes: ${names.length === 0 ? 'none' : names.join(', ')}.`,
      `Searched: ${[...places.recipeDirs, ...places.shippedDirs].join(', ')}.`,
    ],
    hint:
      near === undefined
        ? `Write "${join(first, `${name}.yaml`)}"; docs/recipes.md shows how.`
        : `Did you mean "${near}"?`,
  });
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new SettingsError(`Recipe "${file}" cannot be read.`, {
      details: [message],
      hint: 'Let root read it, or remove it.',
      cause: error,
    });
  }
}
