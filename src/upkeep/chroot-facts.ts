/** What can be said of a chroot that is there. */
import { dirname, join } from 'node:path';
import { readImageSettings, type ImageSettings } from '../chroot/image-settings.ts';
import { listVersions } from '../chroot/prune.ts';
import { findRecipe } from '../chroot/recipe-file.ts';
import { chrootDir, versionTime, type Chroot } from '../chroot/store.ts';
import { readVersionRecord, type VersionRecord } from '../chroot/version.ts';
import { versionsInUse } from '../machine/versions-in-use.ts';
import type { Settings } from '../settings.ts';
import { recipePlaces } from './workshop.ts';

export interface VersionFacts {
  readonly version: string;
  readonly created: string | undefined;
  readonly isCurrent: boolean;
  readonly record: VersionRecord | undefined;
  /** Machines that use it. */
  readonly machines: readonly string[];
}

export interface ChrootFacts {
  readonly name: string;
  readonly path: string;
  /** Newest first. */
  readonly versions: readonly VersionFacts[];
  readonly machine: ImageSettings;
  /** The file, undefined for a chroot without a recipe. */
  readonly recipe: string | undefined;
}

export async function chrootFacts(chroot: Chroot, settings: Settings): Promise<ChrootFacts> {
  const { stateDir } = settings;
  const { name, path } = chroot;
  const used = await versionsInUse(stateDir);
  const versions = (await listVersions(stateDir, name)).map(async (version) => ({
    version,
    created: versionTime(version)?.toISOString(),
    isCurrent: version === chroot.version,
    record: await readVersionRecord(join(chrootDir(stateDir, name), 'versions', version)),
    machines: used.versions
      .filter((one) => one.chroot === name && one.version === version)
      .map(({ machine }) => machine),
  }));
  const recipe = await findRecipe(name, recipePlaces(settings)).catch(() => undefined);
  return {
    ...{ name, path },
    versions: await Promise.all(versions),
    machine: readImageSettings(path),
    recipe: recipe?.file ?? (await readVersionRecord(dirname(path)))?.recipe?.file,
  };
}
