/**
 * Old versions go when no job uses them. A job names its version in its record before it looks a
 * last time whether that is still the current one; so a version that is neither current nor, after
 * that, in any record is nobody's, and nobody will take it.
 */
import { readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { BUILDING, withBuildLock } from './build-lock.ts';
import { chrootDir, findChroot, versionTime } from './store.ts';
import { removeTreeDirectory } from './tree-storage.ts';
import { readVersionRecord } from './version.ts';

export interface VersionsInUse {
  readonly versions: readonly { readonly chroot: string; readonly version: string }[];
  /** False while some job's record cannot be read: then no version is known to be free. */
  readonly isCertain: boolean;
}

export interface OldVersion {
  readonly chroot: string;
  readonly version: string;
  readonly fate: 'remove' | 'in-use' | 'kept';
}

/** What there is besides the current version of one chroot, newest first, and what becomes of it. */
export async function oldVersions(
  stateDir: string,
  name: string,
  inUse: () => Promise<VersionsInUse>,
): Promise<readonly OldVersion[]> {
  const current = await findChroot(stateDir, name);
  if (current === undefined) return [];
  const versions = (await listVersions(stateDir, name)).filter(
    (version) => version !== current.version,
  );
  if (versions.length === 0) return [];
  const record = await readVersionRecord(join(current.path, '..'));
  // Read after `current`, see above.
  const { versions: used, isCertain } = await inUse();
  const isUsed = (version: string): boolean =>
    !isCertain || used.some((one) => one.chroot === name && one.version === version);
  return versions.map((version, index) => ({
    chroot: name,
    version,
    fate: isUsed(version) ? 'in-use' : index < (record?.keep ?? 1) ? 'kept' : 'remove',
  }));
}

/**
 * Removes those that are to go; returns what became of each.
 * @throws HostError while somebody builds the chroot.
 */
export async function pruneVersions(
  stateDir: string,
  name: string,
  inUse: () => Promise<VersionsInUse>,
): Promise<readonly OldVersion[]> {
  if ((await listVersions(stateDir, name)).length < 2) return [];
  const dir = chrootDir(stateDir, name);
  return withBuildLock(name, dir, async () => {
    const old = await oldVersions(stateDir, name, inUse);
    for (const { version, fate } of old) {
      if (fate === 'remove') await removeVersion(dir, version);
    }
    return old;
  });
}

/** Out of sight with one rename, so that a killed removal leaves no half version. */
export async function removeVersion(dir: string, version: string): Promise<void> {
  const gone = join(dir, `${BUILDING}removed-${version}`);
  await rename(join(dir, 'versions', version), gone);
  await removeTreeDirectory(gone);
}

/** All versions of a chroot, newest first. */
export async function listVersions(stateDir: string, name: string): Promise<readonly string[]> {
  const names = await readdir(join(chrootDir(stateDir, name), 'versions')).catch(() => []);
  return names
    .filter((version) => versionTime(version) !== undefined)
    .sort()
    .reverse();
}
