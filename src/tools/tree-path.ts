/** Paths of a tree that nothing runs in, seen from the host. What is in a tree is anybody's. */
import { constants } from 'node:fs';
import { lstat, open, readlink } from 'node:fs/promises';
import { join } from 'node:path';

/** path_resolution(7) allows as many. */
const MAX_LINKS = 40;
const MAX_BYTES = 1024 * 1024;

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
  const found = await resolveInTree(tree, path)
    .then((place) => lstat(place))
    .catch(() => undefined);
  return found !== undefined;
}

/**
 * The text of a file of the tree, links followed inside it. Undefined for what is not there, no
 * regular file, or longer than `maxBytes`: a link would give a file of the host away, and a FIFO hold
 * us, fifo(7).
 */
export async function readInTree(
  tree: string,
  path: string,
  maxBytes = MAX_BYTES,
): Promise<string | undefined> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  let file;
  try {
    const place = await resolveInTree(tree, path);
    // A device acts when it is opened.
    if (!(await lstat(place)).isFile()) return undefined;
    file = await open(place, flags);
  } catch {
    return undefined;
  }
  try {
    const found = await file.stat();
    return found.isFile() && found.size <= maxBytes ? await file.readFile('utf8') : undefined;
  } finally {
    await file.close();
  }
}
