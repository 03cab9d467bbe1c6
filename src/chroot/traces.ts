/**
 * What the making of a tree leaves in it and no machine has a use for: names of the host that made
 * it, secrets that all machines would share, and logs, caches and copies with the day in them. Without
 * these, the same recipe and the same packages make the same tree.
 */
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readInTree } from '../tools/tree-path.ts';
import { directoryInTree, resolveInTree } from './tree-path.ts';

interface Trace {
  /** Links on the way to it are followed, inside the tree. */
  readonly directory: string;
  /** Of what is no directory there. */
  readonly names: RegExp;
}

const TRACES: readonly Trace[] = [
  // A machine gets a name and a resolver of its own.
  { directory: '/etc', names: /^(?:hostname|resolv\.conf)$/ },
  // useradd(8) and its like keep the files as they were before.
  { directory: '/etc', names: /^(?:passwd|shadow|group|gshadow|subuid|subgid)-$/ },
  // --dpkgopt= of the build.
  { directory: '/etc/dpkg/dpkg.cfg.d', names: /^99mmdebstrap$/ },
  { directory: '/etc/ssh', names: /^ssh_host_.*_key(?:\.pub)?$/ },
  // systemd-random-seed.service(8) and systemd-creds(1): one secret for all machines is none.
  { directory: '/var/lib/systemd', names: /^(?:random-seed|credential\.secret)$/ },
  // dbus-uuidgen(1): without it D-Bus takes /etc/machine-id.
  { directory: '/var/lib/dbus', names: /^machine-id$/ },
  { directory: '/var/log', names: /^(?:alternatives|bootstrap|dpkg|fontconfig)\.log$/ },
  { directory: '/var/log/apt', names: /./ },
  // dpkg(1) and debconf(7) keep what was before the last change.
  { directory: '/var/lib/dpkg', names: /-old$/ },
  { directory: '/var/cache/debconf', names: /-old$/ },
  // Made again by whoever needs them; they hold times of files.
  { directory: '/var/cache/apt', names: /^(?:src)?pkgcache\.bin$/ },
  { directory: '/var/cache/ldconfig', names: /^aux-cache$/ },
];

export async function removeTraces(tree: string): Promise<void> {
  for (const { directory, names } of TRACES) await removeIn(tree, directory, names);
  const etc = await directoryInTree(tree, '/etc');
  // machine-id(5): empty gives each machine an id of its own, and is no first boot.
  await replaceFile(join(etc, 'machine-id'), '');
  await change(tree, '/etc/shadow', withoutPasswordDays);
  await change(tree, '/etc/gitconfig', withSortedLfsFilter);
}

async function removeIn(tree: string, directory: string, names: RegExp): Promise<void> {
  const place = await resolveInTree(tree, directory);
  const entries = await readdir(place, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (entry.isDirectory() || !names.test(entry.name)) continue;
    await rm(join(place, entry.name), { force: true });
  }
}

/** A link in its place would lead the writer out of the tree. */
export async function replaceFile(path: string, text: string): Promise<void> {
  await rm(path, { force: true });
  await writeFile(path, text, { flag: 'wx', mode: 0o644 });
}

async function change(tree: string, path: string, how: (text: string) => string): Promise<void> {
  const text = await readInTree(tree, path);
  if (text === undefined) return;
  const changed = how(text);
  if (changed !== text) await writeFile(await resolveInTree(tree, path), changed);
}

/** git-lfs writes the keys of its filter as its package is installed, in another order each time. */
export function withSortedLfsFilter(config: string): string {
  return config.replace(
    /^(\[filter "lfs"\]\n)((?:\t[a-z]+ = .*[^\\\n]\n)+)/m,
    (_, head: string, keys: string) => `${head}${sortedByKey(keys)}`,
  );
}

/** Values of one key stay in their order: for git-config(1) the last one holds. */
function sortedByKey(lines: string): string {
  const key = (line: string): string => line.slice(0, line.indexOf('='));
  const compare = (a: string, b: string): number =>
    key(a) < key(b) ? -1 : Number(key(a) > key(b));
  return lines
    .split(/(?<=\n)/)
    .sort(compare)
    .join('');
}

/** shadow(5): 99999 days are no limit. */
const UNLIMITED = ['', '99999'];

/** The day of a password's last change goes, where it limits nothing; shadow(5), fields 3 and 5. */
export function withoutPasswordDays(shadow: string): string {
  return shadow
    .split('\n')
    .map((line) => {
      const fields = line.split(':');
      const [, , day = '', , longest] = fields;
      // Day 0 asks for a new password.
      if (longest === undefined || !UNLIMITED.includes(longest) || day === '0') return line;
      return fields.with(2, '').join(':');
    })
    .join('\n');
}
