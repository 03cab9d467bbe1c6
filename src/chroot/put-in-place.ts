/** The end of every way to a new version: checked, tried, recorded, on the disk, then current. */
import { lstat, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError, SettingsError, Stopped } from '../errors.ts';
import { syncFileSystem } from '../tools/sync.ts';
import { BUILDING } from './build-lock.ts';
import { keepLog, type Site } from './build-site.ts';
import { treeFaults } from './check-tree.ts';
import { imageSettingsFile, type ImageSettings } from './image-settings.ts';
import type { Step } from './recipe.ts';
import { findChroot, versionTime, type Chroot } from './store.ts';
import { summarizeTree } from './tree-list.ts';
import { shareWith } from './tree-storage.ts';
import {
  writeUpstream,
  writeVersionRecord,
  type TrialRecord,
  type VersionRecord,
} from './version.ts';

/** What a trial found; the joint layer above makes it with a machine, which this folder knows nothing of. */
export interface TrialReport extends TrialRecord {
  /** Sentences with the last lines of what failed; none for a tree that jobs can use. */
  readonly faults: readonly string[];
}

export interface TrialRequest {
  readonly chroot: { readonly name: string; readonly version: string; readonly path: string };
  readonly checks: readonly Step[];
  readonly machine: ImageSettings;
  readonly signal: AbortSignal;
  readonly onLine: (line: string) => void;
}

/** Undefined where no machine can be booted, on a host without systemd. */
export type Trial = ((request: TrialRequest) => Promise<TrialReport>) | undefined;

export interface NewVersion extends Pick<
  VersionRecord,
  'origin' | 'recipe' | 'parent' | 'source' | 'environment' | 'keep'
> {
  readonly machine: ImageSettings;
  readonly checks: readonly Step[];
  readonly upstream: string | undefined;
  /** What a person changes when the tree lacks something. */
  readonly remedy: string;
  readonly trial: Trial;
}

/**
 * Makes the site's tree the current version.
 * @throws SettingsError for a tree that jobs could not use; what was current stays so.
 */
export async function putInPlace(site: Site, made: NewVersion): Promise<Chroot> {
  const { stateDir, name, dir, version, building, tree, progress, signal } = site;
  progress.step('checking the tree');
  const summary = await summarizeTree(tree);
  refuse(site, made, await treeFaults(tree, summary.devices));
  await writeFile(imageSettingsFile(tree), `${JSON.stringify(made.machine, undefined, 2)}\n`);
  const trial = await tryTree(site, made);
  await writeVersionRecord(building, {
    ...{ name, version, origin: made.origin },
    created: versionTime(version)?.toISOString() ?? '',
    ...(made.recipe === undefined ? {} : { recipe: made.recipe }),
    ...(made.parent === undefined ? {} : { parent: made.parent }),
    ...{ source: made.source, environment: made.environment, keep: made.keep },
    nspawnRunner: NSPAWN_RUNNER_VERSION,
    ...(trial === undefined ? {} : { trial }),
    ...{ bytes: summary.bytes, files: summary.files, setuid: summary.setuid },
  });
  if (made.upstream !== undefined) await writeUpstream(building, made.upstream);
  progress.step('putting it in place');
  // A copy of it shares with it already.
  const isCopy = made.origin === 'refresh' || made.origin === 'login';
  const previous = isCopy ? undefined : await findChroot(stateDir, name);
  if (previous !== undefined) await shareWith(tree, previous.path, site.how);
  await keepLog(site);
  // A host that loses power must not come back with a current version of empty files.
  await syncFileSystem(building);
  if (signal.aborted) throw new Stopped('The build was stopped.');
  await rename(building, join(dir, 'versions', version));
  await switchCurrent(dir, version);
  const chroot = await findChroot(stateDir, name);
  if (chroot?.version !== version) throw new HostError(`"${dir}" has no version ${version}.`);
  return chroot;
}

async function tryTree(site: Site, made: NewVersion): Promise<TrialRecord | undefined> {
  const { name, version, tree, progress, signal, how } = site;
  if (made.trial === undefined) return undefined;
  progress.step('trying a machine');
  const { machine, checks } = made;
  const {
    faults,
    bootSec,
    state,
    checks: passed,
  } = await made.trial({
    ...{ chroot: { name, version, path: tree }, checks, machine, signal },
    onLine: how.onLine,
  });
  refuse(site, made, faults);
  return { bootSec, state, checks: passed };
}

function refuse({ name }: Site, { remedy }: NewVersion, faults: readonly string[]): void {
  if (faults.length === 0) return;
  throw new SettingsError(`Chroot "${name}" was not made: jobs could not use its tree.`, {
    details: faults,
    hint: remedy,
  });
}

/** symlink(2) does not replace and rename(2) does, so that there is always a current version. */
export async function switchCurrent(dir: string, version: string): Promise<void> {
  await lstat(join(dir, 'versions', version, 'tree'));
  const next = join(dir, `${BUILDING}current`);
  await rm(next, { force: true });
  await symlink(`versions/${version}`, next);
  await rename(next, join(dir, 'current'));
}
