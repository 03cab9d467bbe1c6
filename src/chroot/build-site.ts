/** Where one version of a chroot is made: locked, beside the versions, with a log of its own. */
import { chmod, link, mkdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { dir as temporaryDirectory } from 'tmp-promise';
import { CommandError, HostError, Stopped } from '../errors.ts';
import type { ConfinedRun } from '../tools/confined.ts';
import { BUILDING, withBuildLockIn } from './build-lock.ts';
import { openBuildLog, type BuildLog } from './build-log.ts';
import type { Progress } from './progress.ts';
import { chrootDir } from './store.ts';
import { makeTreeDirectory, removeTreeDirectory } from './tree-storage.ts';
import { newVersion } from './version.ts';
import { unwritable, writeFailure } from './write-failure.ts';

export interface SiteRequest {
  readonly stateDir: string;
  /** The chroot's. */
  readonly name: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** A chroot whose directory somebody has removed is not made again. */
  readonly mustBeThere?: boolean;
}

export interface Site extends SiteRequest {
  /** Everything of the chroot. */
  readonly dir: string;
  readonly version: string;
  /** Becomes the version's directory. */
  readonly building: string;
  /** In `building`; made by `openTree`, or by whoever copies one. */
  readonly tree: string;
  /** Private, on the same file system; goes with the site. */
  readonly tempDir: string;
  readonly how: ConfinedRun;
  readonly log: BuildLog;
}

/**
 * Takes the chroot's lock, sweeps what a killed build left, runs `work` and takes away what it did
 * not put in place.
 * @throws HostError when another build has the lock, the chroot is gone that must be there, or a tool
 *   failed; Stopped when `signal` came.
 */
export async function withSite<T>(
  request: SiteRequest,
  work: (site: Site) => Promise<T>,
): Promise<T> {
  const { stateDir, name } = request;
  const dir = chrootDir(stateDir, name);
  // A tree is the same whoever makes it: under umask 077 apt of the machines could not read its sources.
  process.umask(0o022);
  const makeDirectory = (): Promise<void> => makeDirectories(stateDir, dir);
  const place = { name, dir, ...(request.mustBeThere === true ? {} : { makeDirectory }) };
  try {
    return await withBuildLockIn(place, (lockFd) => atSite(request, lockFd, work));
  } catch (error) {
    throw writeFailure(error, dir);
  }
}

async function atSite<T>(
  request: SiteRequest,
  lockFd: number,
  work: (site: Site) => Promise<T>,
): Promise<T> {
  const { stateDir, name, signal } = request;
  const dir = chrootDir(stateDir, name);
  const version = newVersion(new Date());
  const building = join(dir, BUILDING + version);
  await mkdir(building);
  try {
    await chmod(building, 0o755);
    // Beside the build and named like it, so that the next build sweeps it too.
    const temporary = { tmpdir: dir, prefix: basename(building), keep: true };
    const { path: tempDir } = await temporaryDirectory(temporary);
    const log = await openBuildLog(join(dir, 'build.log'));
    const { progress, onLine } = logged(request.progress, log);
    const site: Site = {
      ...{ stateDir, name, signal, dir, version, building, tempDir, progress, log },
      tree: join(building, 'tree'),
      how: { lockFd, onLine, signal },
    };
    try {
      return await withLog(site, work);
    } finally {
      await removeTreeDirectory(tempDir);
    }
  } finally {
    await removeTreeDirectory(building);
  }
}

/** Runs the work; the log has its end, also how it failed. */
async function withLog<T>(site: Site, work: (site: Site) => Promise<T>): Promise<T> {
  const { log, name, signal } = site;
  try {
    return await work(site);
  } catch (error) {
    log.write(error instanceof Error ? error.message : String(error));
    const failure = await log.flush();
    if (signal.aborted) throw told(new Stopped('The work was stopped.'), name, log.file);
    if (failure !== undefined) throw unwritable(failure, log.file, error);
    throw told(error, name, log.file);
  } finally {
    await log.close();
  }
}

function logged(
  progress: Progress,
  log: BuildLog,
): { readonly progress: Progress; readonly onLine: (line: string) => void } {
  return {
    onLine: (line) => {
      log.write(line);
      progress.line(line);
    },
    progress: {
      ...progress,
      step: (text) => {
        log.write(`== ${text}`);
        progress.step(text);
      },
    },
  };
}

/** An empty tree, for a source to fill. */
export async function openTree({ tree }: Site): Promise<void> {
  await makeTreeDirectory(tree);
}

/**
 * Keeps the log beside the version's tree.
 * @throws HostError when it is not whole: then the disk is full, or worse.
 */
export async function keepLog({ log, building }: Site): Promise<void> {
  const failure = await log.flush();
  if (failure !== undefined) throw failure;
  await link(log.file, join(building, 'build.log'));
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

/** The cause brings the last lines of the tool. */
function told(error: unknown, name: string, log: string): unknown {
  if (error instanceof Stopped) {
    return new Stopped(`The work on chroot "${name}" was stopped; jobs use what they used.`);
  }
  if (!(error instanceof CommandError)) return error;
  return new HostError(`Chroot "${name}" was not made: ${error.message}`, {
    details: [`All of its output is in "${log}".`],
    hint: 'Correct what it complains about, in the recipe or on this host, and try again.',
    cause: error,
  });
}
