/** Trees of the Python tool of the same name, which are directories of the state directory itself. */
import { lstat, readdir, realpath, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HostError, UsageError } from '../errors.ts';
import type { ConfinedRun } from '../tools/confined.ts';
import { mountsAt } from '../tools/mount.ts';
import { isTreeInUse } from '../tools/nspawn-lock.ts';
import { readInTree } from '../tools/tree-path.ts';
import { finishTree } from './finish-tree.ts';
import { removeDevices } from './sources/devices.ts';
import { isChrootName } from './store.ts';
import { directoryInTree, existsInTree } from './tree-path.ts';
import { copyTree } from './tree-storage.ts';

/** What nspawn-runner itself has in the state directory. */
const OURS = ['chroots', 'jobs', 'cache', 'builds', 'claims', 'temp-roots', 'trash'];
/** In the order of systemd-nspawn(1), --boot. */
const INITS = ['/usr/lib/systemd/systemd', '/lib/systemd/systemd'];

/**
 * Copies a tree that another tool made, and prepares the copy for machines; the tree itself is left
 * as it is.
 * @param tree in a build of the state directory that it belongs to.
 * @returns what the version's record says of its source.
 * @throws UsageError for what is no tree, HostError for one that is in use or cannot be copied.
 */
export async function adoptTree(
  path: string,
  tree: string,
  how: ConfinedRun,
): Promise<Readonly<Record<string, string>>> {
  const from = await realpath(path);
  await refuseOurs(from, tree);
  await refuseNoTree(from);
  await refuseMounts(from);
  await refuseInUse(from);
  const copied = await copyTree(from, tree, how);
  // What somebody changed meanwhile may be half of a change.
  await refuseInUse(from);
  await removeDevices(tree);
  await linkInit(tree);
  await finishTree(tree, { mask: [], enable: [], environment: {} }, how);
  return { directory: from, copied, ...(await systemOf(tree)) };
}

export interface PredecessorTree {
  readonly name: string;
  readonly path: string;
}

/** Trees that `chroot import` could take over, by name. */
export async function predecessorTrees(stateDir: string): Promise<readonly PredecessorTree[]> {
  const names = await readdir(stateDir).catch(() => []);
  const candidates = names.filter((name) => isChrootName(name) && !OURS.includes(name)).sort();
  const found = await Promise.all(
    candidates.map(async (name) => {
      const path = join(stateDir, name);
      return (await isDirectory(path)) && (await lacks(path)) === undefined
        ? { name, path }
        : undefined;
    }),
  );
  return found.filter((tree) => tree !== undefined);
}

/** The host's own tree, ours, and whatever holds the copy. */
async function refuseOurs(from: string, tree: string): Promise<void> {
  const building = await realpath(dirname(tree));
  const stateDir = dirname(dirname(dirname(building)));
  const isOurs = OURS.some((name) => isWithin(from, join(stateDir, name)));
  if (!isOurs && !isWithin(building, from)) return;
  throw new UsageError(`"${from}" is not another tool's tree.`, {
    details: [isOurs ? `nspawn-runner keeps it in "${stateDir}".` : `It has "${stateDir}" in it.`],
    hint: 'Name the directory of one tree.',
  });
}

function isWithin(path: string, directory: string): boolean {
  return `${path}/`.startsWith(directory === '/' ? '/' : `${directory}/`);
}

async function refuseNoTree(from: string): Promise<void> {
  const fault = (await isDirectory(from)) ? await lacks(from) : 'It is no directory.';
  if (fault === undefined) return;
  throw new UsageError(`"${from}" is no tree that machines can boot from.`, {
    details: [fault],
    hint: 'Name the directory that has the usr and etc of the tree.',
  });
}

/** A sentence; undefined for a tree. */
async function lacks(path: string): Promise<string | undefined> {
  const root = await lstat(path);
  if (root.uid !== 0) {
    return `It belongs to user ${root.uid}: its users are shifted, systemd-nspawn(1), --private-users-ownership=.`;
  }
  if (!(await isDirectory(join(path, 'usr')))) return 'It has no directory "usr".';
  for (const paths of [['/etc/os-release', '/usr/lib/os-release'], INITS, ['/bin/sh']]) {
    const found = await Promise.all(paths.map((one) => existsInTree(path, one)));
    if (!found.includes(true)) return `It has no "${paths[0] ?? ''}".`;
  }
  return undefined;
}

async function isDirectory(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  return found?.isDirectory() === true;
}

async function refuseMounts(from: string): Promise<void> {
  const mounts = (await mountsAt(from)).filter((place) => place !== from);
  if (mounts.length === 0) return;
  throw new HostError(`"${from}" is not copied, because something is mounted in it.`, {
    details: mounts,
    hint: 'Unmount it with umount, then try again.',
  });
}

async function refuseInUse(from: string): Promise<void> {
  if (!(await isTreeInUse(from))) return;
  throw new HostError(`"${from}" is not copied: a systemd-nspawn runs in it.`, {
    details: [
      'A job of the other tool, or a login, may be changing it; `ls /run/systemd/machines` shows it.',
    ],
    hint: 'Try again when it has ended.',
  });
}

/** Debian has the link in systemd-sysv, which the Python tool's trees do without. */
async function linkInit(tree: string): Promise<void> {
  if (await existsInTree(tree, '/sbin/init')) return;
  for (const init of INITS) {
    if (!(await existsInTree(tree, init))) continue;
    await symlink(init, join(await directoryInTree(tree, '/sbin'), 'init'));
    return;
  }
}

/** os-release(5), for people. */
async function systemOf(tree: string): Promise<Readonly<Record<string, string>>> {
  const text = (await readInTree(tree, '/etc/os-release')) ?? '';
  const system = /^PRETTY_NAME=(["']?)(.+)\1$/m.exec(text)?.[2];
  return system === undefined ? {} : { system };
}
