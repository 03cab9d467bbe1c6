/** What can be said of a chroot that is there. */
import { join } from 'node:path';
import { readImageSettings, type ImageSettings } from '../chroot/image-settings.ts';
import { listVersions } from '../chroot/prune.ts';
import { findRecipe } from '../chroot/recipe-file.ts';
import { chrootDir, versionTime, type Chroot } from '../chroot/store.ts';
import { readVersionRecord, type VersionRecord } from '../chroot/version.ts';
import { Failure } from '../errors.ts';
import { warn } from '../log.ts';
import { versionsInUse } from '../machine/versions-in-use.ts';
import type { Settings } from '../settings.ts';
import { recipePlaces } from './workshop.ts';

export interface VersionFacts {
  readonly version: string;
  readonly created: string | undefined;
  readonly isCurrent: boolean;
  readonly record: VersionRecord | undefined;
  /** Why there is no record though its file is there. */
  readonly fault: string | undefined;
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

/** A file that cannot be understood is told, and the rest is shown without it. */
export async function chrootFacts(chroot: Chroot, settings: Settings): Promise<ChrootFacts> {
  const { stateDir } = settings;
  const { name, path } = chroot;
  const used = await versionsInUse(stateDir);
  const directory = join(chrootDir(stateDir, name), 'versions');
  const versions = await Promise.all(
    (await listVersions(stateDir, name)).map(async (version) => ({
      version,
      created: versionTime(version)?.toISOString(),
      isCurrent: version === chroot.version,
      ...(await recordOf(join(directory, version))),
      machines: used.versions
        .filter((one) => one.chroot === name && one.version === version)
        .map(({ machine }) => machine),
    })),
  );
  const machine = await orFault(() => readImageSettings(path));
  for (const { fault } of [...versions, machine]) {
    if (fault !== undefined) warn(`${name}: ${fault}`);
  }
  const recipe = await findRecipe(name, recipePlaces(settings)).catch(() => undefined);
  return {
    ...{ name, path, versions },
    machine: machine.value ?? { format: 1 },
    recipe: recipe?.file ?? versions.find(({ isCurrent }) => isCurrent)?.record?.recipe?.file,
  };
}

async function recordOf(directory: string): Promise<Pick<VersionFacts, 'record' | 'fault'>> {
  const { value, fault } = await orFault(() => readVersionRecord(directory));
  return { record: value, fault };
}

interface ValueOrFault<T> {
  readonly value?: T;
  readonly fault: string | undefined;
}

async function orFault<T>(read: () => T | Promise<T>): Promise<ValueOrFault<T>> {
  try {
    return { value: await read(), fault: undefined };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { fault: [error.message, error.hint].filter((text) => text !== undefined).join(' ') };
  }
}
