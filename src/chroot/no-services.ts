/** Keeps packages from starting their services while they are installed into a tree. */
import { lstat, rm, writeFile } from 'node:fs/promises';
import { placeInTree, resolveInTree } from './tree-path.ts';

const POLICY = '/usr/sbin/policy-rc.d';

/**
 * invoke-rc.d(8): 101 forbids the action. The tree has this host's network while its packages are
 * installed, and a daemon that is started then would change it. A policy of the tree's own stays.
 */
export async function withoutServices<T>(tree: string, work: () => Promise<T>): Promise<T> {
  const place = await placeInTree(tree, POLICY);
  if ((await lstat(place).catch(() => undefined)) !== undefined) return work();
  await writeFile(place, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    return await work();
  } finally {
    // Looked for anew: what was installed may have made links of directories.
    await rm(await resolveInTree(tree, POLICY), { force: true });
  }
}
