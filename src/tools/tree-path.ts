/** Paths of a tree that nothing runs in, seen from the host. */
import { lstat, readlink } from 'node:fs/promises';
import { join } from 'node:path';

/** path_resolution(7) allows as many. */
const MAX_LINKS = 40;

/**
 * Where `path` of the tree is on the host. Symbolic links, the absolute ones too, stay in the tree
 * as they would for a process that runs there; parts that do not exist are kept as they are.
 */
export async function resolveInTree(tree: string, path: string): Promise<string> {
  const todo = path.split('/');
  let at: string[] = [];
  let links = 0;
  for (let part = todo.shift(); part !== undefined; part = todo.shift()) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      at.pop();
      continue;
    }
    const target = await readlink(join(tree, ...at, part)).catch(() => undefined);
    if (target === undefined) {
      at.push(part);
      continue;
    }
    links += 1;
    if (links > MAX_LINKS) throw new Error(`Too many links in "${path}" of "${tree}".`);
    if (target.startsWith('/')) at = [];
    todo.unshift(...target.split('/'));
  }
  return join(tree, ...at);
}

/** Whether the tree has something there, links followed. */
export async function existsInTree(tree: string, path: string): Promise<boolean> {
  const found = await lstat(await resolveInTree(tree, path)).catch(() => undefined);
  return found !== undefined;
}
