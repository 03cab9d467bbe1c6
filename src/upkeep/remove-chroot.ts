/** Chroots that nobody wants any more. */
import { lstat, readlink, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { withBuildLock, BUILDING, removeLocked } from '../chroot/build-lock.ts';
import { listVersions, removeVersion } from '../chroot/prune.ts';
import { chrootDir, findChroot } from '../chroot/store.ts';
import { HostError, UsageError } from '../errors.ts';
import { versionsInUse } from '../machine/versions-in-use.ts';

/**
 * Removes a chroot with all its versions.
 * @throws HostError while a job uses one of them, and leaves all as it was.
 */
export async function removeChroot(stateDir: string, name: string): Promise<void> {
  const dir = chrootDir(stateDir, name);
  await withBuildLock(name, dir, async () => {
    const current = join(dir, 'current');
    const hidden = join(dir, `${BUILDING}removed-current`);
    const target = await readlink(current).catch(() => undefined);
    // First nobody can begin to use it, then we look who does: see chroot/prune.ts.
    if (target !== undefined) await rename(current, hidden);
    try {
      await refuseUse(stateDir, name, await listVersions(stateDir, name));
    } catch (error) {
      if (target !== undefined) await rename(hidden, current);
      throw error;
    }
    for (const version of await listVersions(stateDir, name)) await removeVersion(dir, version);
    if (target !== undefined) await unlink(hidden);
    await removeLocked(dir);
  });
}

/**
 * Removes one old version.
 * @throws UsageError for the current one or none, HostError while a job uses it.
 */
export async function removeOldVersion(
  stateDir: string,
  name: string,
  version: string,
): Promise<void> {
  const dir = chrootDir(stateDir, name);
  await withBuildLock(name, dir, async () => {
    const versions = await listVersions(stateDir, name);
    if (!versions.includes(version)) {
      throw new UsageError(`Chroot "${name}" has no version "${version}".`, {
        details: [`Versions: ${versions.join(', ') || 'none'}.`],
      });
    }
    if ((await findChroot(stateDir, name))?.version === version) {
      throw new UsageError(`Version "${version}" of chroot "${name}" is the current one.`, {
        hint: `Remove the whole chroot: nspawn-runner chroot remove ${name}`,
      });
    }
    await refuseUse(stateDir, name, [version]);
    await removeVersion(dir, version);
  });
}

async function refuseUse(
  stateDir: string,
  name: string,
  versions: readonly string[],
): Promise<void> {
  const { versions: used, isCertain } = await versionsInUse(stateDir);
  const machines = used
    .filter((one) => one.chroot === name && versions.includes(one.version))
    .map(({ machine, version }) => `Machine "${machine}" uses version ${version}.`);
  if (machines.length > 0) {
    throw new HostError(`Chroot "${name}" is in use and was not removed.`, {
      details: machines,
      hint: 'Wait until these jobs have ended, then try again.',
    });
  }
  if (isCertain) return;
  throw new HostError(`Chroot "${name}" may be in use and was not removed.`, {
    details: ['The record of a job cannot be read.'],
    hint: '`nspawn-runner reap --dry-run` names it; try again when it has gone.',
  });
}

/** Whether there is anything of that name, also without a current version. */
export async function isChrootThere(stateDir: string, name: string): Promise<boolean> {
  const found = await lstat(chrootDir(stateDir, name)).catch(() => undefined);
  return found?.isDirectory() === true;
}
