/** What is done to a fresh tree so that machines can boot from it, and what its recipe asks for. */
import { chmod, copyFile, lstat, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { createSystemUsers, enableUnits } from '../tools/systemd-offline.ts';
import type { Recipe } from './recipe.ts';
import { directoryInTree, existsInTree, placeInTree } from './tree-path.ts';

const ENVIRONMENT_FILE = '/etc/systemd/system.conf.d/50-nspawn-runner-recipe.conf';
/** Of the host that built it, or of the build (--dpkgopt= stays behind): none of it is for machines. */
const NOT_FOR_MACHINES = ['/etc/hostname', '/etc/resolv.conf', '/etc/dpkg/dpkg.cfg.d/99mmdebstrap'];

/**
 * @param environment of all processes of its machines, the parent's included.
 * @param sources what apt gets its packages from, for a tree of Debian or Ubuntu.
 */
export async function finishTree(
  tree: string,
  recipe: Pick<Recipe, 'mask' | 'enable'>,
  { environment, apt }: { environment: Recipe['environment']; apt: AptSources | undefined },
): Promise<void> {
  if (apt !== undefined) {
    await replaceSources(tree, apt.sources);
    await keepKeyring(tree, apt.keyring);
  }
  await removeTraces(tree);
  if (Object.keys(environment).length > 0) {
    await writeFile(await placeInTree(tree, ENVIRONMENT_FILE), managerEnvironment(environment));
  }
  await createSystemUsers(tree);
  for (const name of recipe.mask) await mask(tree, name);
  await enableUnits(tree, recipe.enable);
  await markUpdated(tree);
}

export interface AptSources {
  /** Content of debian.sources. */
  readonly sources: string;
  /** On this host. */
  readonly keyring: string;
}

/** systemd-system.conf(5): DefaultEnvironment= reaches every process that the machine's init starts. */
export function managerEnvironment(environment: Readonly<Record<string, string>>): string {
  const lines = Object.entries(environment).map(([name, value]) => {
    // Quotes and backslashes as in systemd.syntax(7); "%" starts a specifier.
    const quoted = value.replaceAll(/[\\"]/g, '\\$&').replaceAll('%', '%%');
    return `DefaultEnvironment="${name}=${quoted}"\n`;
  });
  return `[Manager]\n${lines.join('')}`;
}

/** Where the link to /dev/null goes: systemd.unit(5), systemd.generator(7). */
export function maskLink(name: string): string {
  return name.startsWith('system-generators/')
    ? `/etc/systemd/${name}`
    : `/etc/systemd/system/${name}`;
}

async function mask(tree: string, name: string): Promise<void> {
  const path = maskLink(name);
  // The link itself is replaced and not what it points at, so only its directory is resolved.
  const place = join(await directoryInTree(tree, dirname(path)), basename(path));
  await rm(place, { force: true });
  await symlink('/dev/null', place);
}

/** mmdebstrap's name for the sources depends on its version; in the tree they have Debian's name. */
async function replaceSources(tree: string, sources: string): Promise<void> {
  const dir = join(tree, 'etc/apt/sources.list.d');
  for (const name of await readdir(dir)) await rm(join(dir, name));
  await rm(join(tree, 'etc/apt/sources.list'), { force: true });
  await writeFile(join(dir, 'debian.sources'), sources);
}

/** apt reads Signed-By= at the same path in a machine as on this host. */
async function keepKeyring(tree: string, keyring: string): Promise<void> {
  if (await existsInTree(tree, keyring)) return;
  const place = await placeInTree(tree, keyring);
  await copyFile(keyring, place);
  await chmod(place, 0o644);
}

async function removeTraces(tree: string): Promise<void> {
  for (const path of NOT_FOR_MACHINES) await rm(join(tree, path), { force: true });
  const sshKeys = (await readdir(join(tree, 'etc/ssh')).catch(() => [])).filter((name) =>
    /^ssh_host_.*_key(?:\.pub)?$/.test(name),
  );
  for (const name of sshKeys) await rm(join(tree, 'etc/ssh', name), { force: true });
  // machine-id(5): empty gives each machine an id of its own, and is no first boot.
  await writeFile(join(tree, 'etc/machine-id'), '');
}

/**
 * systemd-update-done.service(8): tells ConditionNeedsUpdate= that /etc and /var fit /usr, which
 * package installation saw to; otherwise every machine rebuilds the journal's catalog as it boots.
 */
async function markUpdated(tree: string): Promise<void> {
  const usr = await lstat(join(tree, 'usr'), { bigint: true });
  const text = `TIMESTAMP_NSEC=${usr.mtimeNs}\n`;
  for (const dir of ['etc', 'var']) await writeFile(join(tree, dir, '.updated'), text);
}
