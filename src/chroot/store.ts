/**
 * The base trees on disk, as jobs read them:
 *
 *     STATE/chroots/NAME/versions/VERSION/tree   one version, never changed once it is there
 *     STATE/chroots/NAME/current                 → versions/VERSION, switched with one rename
 *
 * config and prepare read this in every job, so there are no schemas and no files to parse here.
 */
import { lstat, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';

export interface Chroot {
  readonly name: string;
  /** Sorts by time: UTC time stamp and a random part. */
  readonly version: string;
  /** The tree of the current version. */
  readonly path: string;
  readonly createdAt: Date;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const VERSION = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-[0-9a-f]{6}$/;

/** Whether this can be a chroot's name, and so a directory's and a recipe's. */
export function isChrootName(name: string): boolean {
  return NAME.test(name);
}

/** Where everything of one chroot is. */
export function chrootDir(stateDir: string, name: string): string {
  return join(stateDir, 'chroots', name);
}

/** When a version was begun, read from its name; undefined for what is no version's name. */
export function versionTime(version: string): Date | undefined {
  const parts = VERSION.exec(version)?.slice(1);
  if (parts === undefined) return undefined;
  const [year, month, day, hour, minute, second] = parts;
  const time = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(time.getTime()) ? undefined : time;
}

/**
 * The chroots that jobs can use, by name. A missing directory means none; builds that did not end
 * and entries without a good `current` link are not among them.
 */
export async function listChroots(stateDir: string): Promise<readonly Chroot[]> {
  const names = await readdir(join(stateDir, 'chroots')).catch(unlessAbsent([]));
  const found = await Promise.all(names.map((name) => findChroot(stateDir, name)));
  return found.filter((chroot) => chroot !== undefined).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The current version of one chroot, undefined when there is none that a job can use. */
export async function findChroot(stateDir: string, name: string): Promise<Chroot | undefined> {
  if (!isChrootName(name)) return undefined;
  const dir = chrootDir(stateDir, name);
  for (let version = await currentVersion(dir); version !== undefined;) {
    const createdAt = versionTime(version);
    if (createdAt === undefined) return undefined;
    const path = join(dir, 'versions', version, 'tree');
    const tree = await lstat(path).catch(unlessAbsent(undefined));
    if (tree?.isDirectory() === true) return { name, version, path, createdAt };
    // It may have been replaced and removed since the link was read.
    const now = await currentVersion(dir);
    if (now === version) return undefined;
    version = now;
  }
  return undefined;
}

async function currentVersion(dir: string): Promise<string | undefined> {
  const target = await readlink(join(dir, 'current')).catch(unlessAbsent(undefined));
  return target === undefined ? undefined : /^versions\/([^/]+)$/.exec(target)?.[1];
}

/** EINVAL is readlink(2) on what is no link; none of these is a chroot, all else is a fault. */
function unlessAbsent<T>(instead: T): (error: unknown) => T {
  return (error) => {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EINVAL') return instead;
    throw error;
  };
}
