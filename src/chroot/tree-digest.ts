/**
 * Whether two trees are the same, on any host and file system. GNU tar reads them, which is
 * everywhere and sees extended attributes.
 *
 * What counts: path, kind, mode, owner, content, target, device, names of one file, extended
 * attributes (ACLs and capabilities among them). What does not: sockets, which mean nothing without
 * their process and which archives cannot hold, sizes of directories, holes, and times.
 */
import { createHash } from 'node:crypto';
import { escapeName, readTar, type TarEntry } from '../tools/tar-entries.ts';
import { treeBytes } from '../tools/tar-tree.ts';

export interface ListOptions {
  /** Times of modification belong to it too; the digest has none. */
  readonly withTimes?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** One line for each entry, sorted by path: two lists tell in what two trees differ. */
export async function listTree(
  tree: string,
  options: ListOptions = {},
): Promise<readonly string[]> {
  const lines: string[] = [];
  let finish: (() => void) | undefined;
  await readTar(treeBytes(tree, options.signal), (entry) => {
    finish?.();
    const hash = entry.type === 'file' ? createHash('sha256') : undefined;
    finish = () => lines.push(treeLine(entry, hash?.digest('hex'), options));
    return hash === undefined ? undefined : (part) => hash.update(part);
  });
  finish?.();
  return lines.sort();
}

/** SHA-256 of the list without times, hexadecimal. */
export async function digestTree(tree: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for (const line of await listTree(tree, { signal })) hash.update(`${line}\n`);
  return hash.digest('hex');
}

function treeLine(
  entry: TarEntry,
  sha256: string | undefined,
  { withTimes = false }: ListOptions,
): string {
  const { type, uid, gid } = entry;
  const path = inTree(entry.path);
  // The archive says of a second name only whose it is; which comes first depends on names alone.
  if (type === 'hard link') return `${path} is ${inTree(entry.target)}`;
  const attributes = [...entry.attributes]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${escapeName(name)}=${Buffer.from(value, 'latin1').toString('hex')}`);
  return [
    path,
    type,
    entry.mode.toString(8).padStart(4, '0'),
    `${uid}:${gid}`,
    ...(sha256 === undefined ? [] : [`${entry.size} bytes`, `sha256:${sha256}`]),
    ...(type === 'symbolic link' ? [`to ${escapeName(entry.target)}`] : []),
    ...(type.endsWith('device') ? [entry.device] : []),
    ...attributes,
    ...(withTimes ? [`at ${entry.mtime}`] : []),
  ].join(' ');
}

/** Blanks are escaped too: a line has one meaning. */
function inTree(path: string): string {
  const absolute = path.replace(/^\.(?=\/|$)/, '');
  return absolute === '' ? '/' : escapeName(absolute).replaceAll(' ', '\\x20');
}
