/** Packages that a tree's dpkg holds, apt-mark(8): a recipe that lists one again means the one that is there. */
import { readInTree } from '../tools/tree-path.ts';

const STATUS = '/var/lib/dpkg/status';
/** A tree with 3,000 packages has 3 MiB. */
const MAX_BYTES = 64 * 1024 * 1024;

/**
 * What is held and there, none in a tree without dpkg. It is not to be installed again: apt-get(8)
 * fails when it is told so and there is a newer version, and its option to go on would change all
 * that are held.
 */
export async function heldPackages(tree: string): Promise<ReadonlySet<string>> {
  return heldNames((await readInTree(tree, STATUS, MAX_BYTES)) ?? '');
}

/**
 * Names by which apt-get(8) knows a held and installed package, with and without an architecture;
 * without one it is the tree's own, which is that of dpkg itself.
 * @param status the text of dpkg's status file. apt-mark(8), showhold also names what is not there.
 */
export function heldNames(status: string): ReadonlySet<string> {
  const packages = status.split('\n\n').map(parseStanza);
  const native = packages.find(({ name }) => name === 'dpkg')?.architecture ?? '';
  const names = new Set<string>();
  for (const { name, state, architecture } of packages) {
    if (state !== 'hold ok installed') continue;
    names.add(`${name}:${architecture}`);
    if (architecture !== native && architecture !== 'all') continue;
    names.add(name);
    names.add(`${name}:${native}`);
  }
  return names;
}

function parseStanza(stanza: string): Record<'name' | 'state' | 'architecture', string> {
  const field = (name: string): string =>
    new RegExp(`^${name}: *(.*)$`, 'm').exec(stanza)?.[1]?.trim() ?? '';
  return { name: field('Package'), state: field('Status'), architecture: field('Architecture') };
}
