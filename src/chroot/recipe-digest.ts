/** What decides what a tree holds, in one number: when it changes, the tree is built again. */
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { SettingsError } from '../errors.ts';
import { mirrorOf } from './apt-sources.ts';
import { digestsBeside } from './playbook-digest.ts';
import type { Recipe } from './recipe.ts';
import type { Source } from './source.ts';

/** Grows when the same recipe makes another tree with this program than with the one before. */
const BUILD_FORMAT = 2;

/**
 * Neither the description nor what holds for machines, checks and updates is part of it: these
 * change without a new tree. Files that the recipe names count with their content, and so do roles,
 * files and variables beside its playbook.
 * @param aptMirror the operator's: a tree keeps the mirror that it was made from.
 * @throws SettingsError for a file that cannot be read.
 */
export async function recipeDigest(recipe: Recipe, aptMirror: string | undefined): Promise<string> {
  const { packages, user, script, environment, mask, enable, playbook } = recipe;
  const source = fromMirror(recipe.source, aptMirror);
  const files = recipe.files.map(async ({ path, content, source, mode }) => {
    if (source === undefined) return { path, content, mode };
    const text = await hashOf(recipe, source);
    return { path, text, mode: mode ?? (await stat(source)).mode };
  });
  const parts = {
    format: BUILD_FORMAT,
    ...{ source, packages, user, script, environment, mask, enable },
    files: await Promise.all(files),
    playbook: playbook && {
      variables: playbook.variables,
      text: await hashOf(recipe, playbook.file),
      ...(await digestsBeside(playbook.file).catch(unreadable(recipe, playbook.file))),
    },
  };
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

function fromMirror(source: Source, aptMirror: string | undefined): Source {
  if (source.kind !== 'debian') return source;
  const mirror = mirrorOf(source, aptMirror);
  return mirror === mirrorOf(source, undefined) ? source : { ...source, mirror };
}

async function hashOf(recipe: Recipe, path: string): Promise<string> {
  const bytes = await readFile(path).catch(unreadable(recipe, path));
  return createHash('sha256').update(bytes).digest('hex');
}

function unreadable({ file }: Recipe, path: string): (error: unknown) => never {
  return (error) => {
    throw new SettingsError(`"${path}", which recipe "${file}" names, cannot be read.`, {
      details: [(error as Error).message],
      hint: 'Put it there, or correct the recipe; a relative path begins where the recipe is.',
      cause: error,
    });
  };
}
