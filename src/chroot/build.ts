/** Recipe → tree, made aside and put in place with one rename; `current` changes last, or never. */
import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { access, chmod, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { finished } from 'node:stream/promises';
import { withDir } from 'tmp-promise';
import { CommandError, HostError, SettingsError, Stopped } from '../errors.ts';
import { bootstrap } from '../tools/mmdebstrap.ts';
import { removeTree } from '../tools/rm.ts';
import { syncFileSystem } from '../tools/sync.ts';
import { toolVersion } from '../tools/version.ts';
import { aptSources, mirrorOf } from './apt-sources.ts';
import { BUILDING, withBuildLock } from './build-lock.ts';
import { treeFaults } from './check-tree.ts';
import { finishTree } from './finish-tree.ts';
import type { Progress } from './progress.ts';
import type { Recipe } from './recipe.ts';
import { chrootDir, findChroot, versionTime, type Chroot } from './store.ts';

const VERSION_FORMAT = 1;

export interface Build {
  readonly stateDir: string;
  readonly recipe: Recipe;
  /** The operator's, for recipes that name none. */
  readonly aptMirror: string | undefined;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** One build at work. */
interface Site extends Build {
  readonly dir: string;
  readonly version: string;
  /** Becomes the version's directory. */
  readonly building: string;
  readonly lockFd: number;
}

/**
 * Builds a version of a chroot and makes it current. Versions that are there stay, jobs may use
 * them; whatever goes wrong, `current` is as it was.
 * @throws HostError when the tree could not be made, SettingsError when it lacks what machines need.
 */
export async function buildChroot(build: Build): Promise<Chroot> {
  const { stateDir, recipe } = build;
  const dir = chrootDir(stateDir, recipe.name);
  await makeDirectories(stateDir, dir);
  return withBuildLock(recipe.name, dir, async (lockFd) => {
    const version = newVersion(new Date());
    const building = join(dir, BUILDING + version);
    await mkdir(building);
    await chmod(building, 0o755);
    try {
      await makeVersion({ ...build, dir, version, building, lockFd });
    } catch (error) {
      await removeTree(building);
      throw error instanceof Stopped ? stopped(recipe) : error;
    }
    const chroot = await findChroot(stateDir, recipe.name);
    if (chroot?.version !== version) throw new Error(`"${dir}" has no version ${version}.`);
    return chroot;
  });
}

/**
 * Below the state directory all may enter, whatever the umask: machines with user namespaces reach
 * their trees as other users. The state directory is root's alone, as /var/lib/machines is: a base
 * tree has set-user-ID programs of an age of its own.
 */
async function makeDirectories(stateDir: string, dir: string): Promise<void> {
  if ((await mkdir(stateDir, { recursive: true })) !== undefined) await chmod(stateDir, 0o700);
  for (const path of [dirname(dir), dir, join(dir, 'versions')]) {
    await mkdir(path, { recursive: true });
    await chmod(path, 0o755);
  }
}

/** Sorts by time; the random part keeps two of one second apart. */
export function newVersion(now: Date): string {
  const stamp = now.toISOString().replace(/\.\d+Z$/, 'Z');
  return `${stamp.replaceAll(/[-:]/g, '')}-${randomBytes(3).toString('hex')}`;
}

async function makeVersion(site: Site): Promise<void> {
  const { recipe, progress, dir, version, building, signal } = site;
  const tree = join(building, 'tree');
  progress.step(`installing Debian ${recipe.debian.suite}`);
  await installPackages(site, tree);
  progress.step('writing what the recipe adds');
  await chmod(tree, 0o755);
  await finishTree(tree, recipe, aptSources(recipe.debian, site.aptMirror));
  progress.step('checking the tree');
  await refuseFaults(tree, recipe);
  await writeFile(join(building, 'version.json'), await versionRecord(site));
  progress.step('putting it in place');
  // A host that loses power must not come back with a current version of empty files.
  await syncFileSystem(building);
  if (signal.aborted) throw stopped(recipe);
  await rename(building, join(dir, 'versions', version));
  await switchCurrent(dir, version);
}

async function installPackages(site: Site, tree: string): Promise<void> {
  const { recipe, dir, building, aptMirror, signal, progress, lockFd } = site;
  const { keyring } = recipe.debian;
  await access(keyring).catch((cause: unknown) => {
    throw new HostError(`Keyring "${keyring}" is not on this host.`, {
      hint: 'Install debian-archive-keyring, or name the keyring of your mirror in the recipe.',
      cause,
    });
  });
  const logFile = join(dir, 'build.log');
  await rm(logFile, { force: true });
  const log = createWriteStream(logFile, { mode: 0o600 });
  const onLine = (line: string): void => {
    log.write(`${line}\n`);
    progress.line(line);
  };
  // Beside the build and named like it, so that the next build sweeps it too.
  const temporary = { tmpdir: dir, prefix: basename(building), unsafeCleanup: true };
  try {
    await withDir(async ({ path: tempDir }) => {
      const sourcesFile = join(tempDir, 'debian.sources');
      await writeFile(sourcesFile, aptSources(recipe.debian, aptMirror));
      const { suite, aptOptions } = recipe.debian;
      const what = { suite, target: tree, sourcesFile, packages: recipe.packages, aptOptions };
      await bootstrap(what, tempDir, { lockFd, onLine, signal });
    }, temporary);
  } catch (error) {
    throw error instanceof CommandError ? notBuilt(recipe, error, logFile) : error;
  } finally {
    await finished(log.end());
  }
}

function stopped({ name }: Recipe): Stopped {
  return new Stopped(`The build of chroot "${name}" was stopped; jobs use what they used.`);
}

/** The cause brings the last lines of the tool. */
function notBuilt({ name, file }: Recipe, cause: CommandError, logFile: string): HostError {
  return new HostError(`Chroot "${name}" was not built: ${cause.message}`, {
    details: [`All of its output is in "${logFile}".`],
    hint: `Correct what it complains about, in "${file}" or on this host, and create it again.`,
    cause,
  });
}

async function refuseFaults(tree: string, { name, file }: Recipe): Promise<void> {
  const faults = await treeFaults(tree);
  if (faults.length === 0) return;
  throw new SettingsError(`Chroot "${name}" was not built: no machine could boot from it.`, {
    details: faults,
    hint: `Add what is missing to "packages" in "${file}", and create it again.`,
  });
}

async function versionRecord({ recipe, version, aptMirror }: Site): Promise<string> {
  const record = {
    format: VERSION_FORMAT,
    name: recipe.name,
    version,
    created: versionTime(version)?.toISOString(),
    recipe: { file: recipe.file, sha256: recipe.sha256 },
    source: {
      debian: { suite: recipe.debian.suite, mirror: mirrorOf(recipe.debian, aptMirror) },
    },
    tools: { mmdebstrap: await toolVersion('mmdebstrap') },
  };
  return `${JSON.stringify(record, undefined, 2)}\n`;
}

/** symlink(2) does not replace and rename(2) does, so that there is always a current version. */
async function switchCurrent(dir: string, version: string): Promise<void> {
  const next = join(dir, `${BUILDING}current`);
  await rm(next, { force: true });
  await symlink(`versions/${version}`, next);
  await rename(next, join(dir, 'current'));
}
