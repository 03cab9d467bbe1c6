/** Places in a tree that nothing runs in, made where they are not there. */
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { existsInTree, resolveInTree } from '../tools/tree-path.ts';

export { existsInTree, resolveInTree };

/** A directory of the tree, made where it was not there. */
export async function directoryInTree(tree: string, path: string): Promise<string> {
  const dir = await resolveInTree(tree, path);
  await mkdir(dir, { recursive: true, mode: 0o755 });
  return dir;
}

/** The place for a file of the tree, links followed, its directory made where it was not there. */
export async function placeInTree(tree: string, path: string): Promise<string> {
  const place = await resolveInTree(tree, path);
  await mkdir(dirname(place), { recursive: true, mode: 0o755 });
  return place;
}
