/** Recipe → tree, made aside and put in place with one rename; `current` changes last, or never. */
import { dirname } from 'node:path';
import { HostError, SettingsError } from '../errors.ts';
import { openTree, withSite, type Site, type SiteRequest } from './build-site.ts';
import {
  installPackages,
  makeUser,
  playPlaybook,
  runSteps,
  upgradePackages,
  writeFiles,
} from './customize.ts';
import { finishTree } from './finish-tree.ts';
import type { ImageSettings } from './image-settings.ts';
import { putInPlace, type Trial } from './put-in-place.ts';
import { recipeDigest } from './recipe-digest.ts';
import type { Recipe } from './recipe.ts';
import { makeSourceTree } from './source-tree.ts';
import { findChroot, type Chroot } from './store.ts';
import { copyTree } from './tree-storage.ts';
import { mergeImageSettings } from './image-settings.ts';
import { readVersionRecord, type VersionRecord } from './version.ts';

export interface BuildRequest extends Omit<SiteRequest, 'name'> {
  readonly recipe: Recipe;
  /** The chroot that the recipe extends. */
  readonly parent: ParentChroot | undefined;
  /** The operator's, for recipes that name none. */
  readonly aptMirror: string | undefined;
  /** For an update of one that was there: what somebody has removed since is not made again. */
  readonly mustBeThere: boolean;
  /** Fingerprint of what upstream offers, taken before the build. */
  readonly upstream: string | undefined;
  readonly trial: Trial;
}

export interface ParentChroot {
  readonly chroot: Chroot;
  readonly record: VersionRecord | undefined;
  readonly machine: ImageSettings;
}

/** Somebody removed the chroot while its update was under way: there is nothing to bring up to date. */
export class ChrootRemoved extends HostError {
  constructor(name: string) {
    super(`Chroot "${name}" was removed while its update was under way.`);
  }
}

interface Start {
  readonly facts: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string>>;
  readonly packagesInstalled: boolean;
}

/**
 * Builds a version of a chroot and makes it current; whatever goes wrong, `current` is as it was.
 * @throws HostError when the tree could not be made, SettingsError when jobs could not use it,
 *   ChrootRemoved.
 */
export async function buildChroot(request: BuildRequest): Promise<Chroot> {
  const { recipe } = request;
  const digest = await recipeDigest(recipe, request.aptMirror);
  return atSite(request, async (site) => {
    const start = await startTree(site, request);
    if (!start.packagesInstalled) await installPackages(site, recipe);
    const { parent } = request;
    const from: MadeFrom = {
      recipe: { file: recipe.file, digest },
      ...(parent === undefined
        ? {}
        : { parent: { name: parent.chroot.name, version: parent.chroot.version } }),
    };
    return finishVersion(site, request, { ...start, from, origin: 'build' });
  });
}

/**
 * Brings a copy of the current version up to date and makes that current: newer packages, and
 * what the recipe says of users, files and units; its playbook is played again, its script is not.
 * @throws as buildChroot.
 */
export async function refreshChroot(request: BuildRequest): Promise<Chroot> {
  const { recipe } = request;
  return atSite(request, async (site) => {
    // Only under the lock is it the one that jobs use: a login may have ended a moment ago.
    const { chroot, record } = await currentVersion(site);
    site.progress.step(`copying version ${chroot.version}`);
    await copyTree(chroot.path, site.tree, site.how);
    await upgradePackages(site, recipe);
    const { source: facts, environment, recipe: madeBy, parent } = record;
    // What has changed in these since then is still for a rebuild to do.
    const from: MadeFrom = {
      ...(madeBy === undefined ? {} : { recipe: madeBy }),
      ...(parent === undefined ? {} : { parent }),
    };
    // What somebody brought is not to be replaced by the next nightly update, update-decision.ts.
    const isBrought =
      (madeBy === undefined && ['import', 'login'].includes(record.origin)) ||
      (record.origin === 'import' && request.upstream === undefined);
    const origin = isBrought ? 'import' : 'refresh';
    return finishVersion(site, request, { facts, environment, from, origin });
  });
}

async function atSite<T>(request: BuildRequest, work: (site: Site) => Promise<T>): Promise<T> {
  const { name } = request.recipe;
  return withSite({ ...request, name }, async (site) => {
    // Whoever removes it has the lock for which we may have waited.
    const isGone = request.mustBeThere && (await findChroot(request.stateDir, name)) === undefined;
    if (isGone) throw new ChrootRemoved(name);
    return work(site);
  });
}

async function currentVersion({
  stateDir,
  name,
}: Site): Promise<{ readonly chroot: Chroot; readonly record: VersionRecord }> {
  const chroot = await findChroot(stateDir, name);
  const record = chroot && (await readVersionRecord(dirname(chroot.path)));
  if (chroot !== undefined && record !== undefined) return { chroot, record };
  throw new HostError(`Chroot "${name}" was removed or replaced while its update began.`, {
    hint: 'Try again.',
  });
}

async function startTree(site: Site, { recipe, parent, aptMirror }: BuildRequest): Promise<Start> {
  const { source, packages } = recipe;
  if (source.kind === 'extends') {
    if (parent === undefined) throw missingParent(recipe, source.parent);
    const { chroot, record } = parent;
    site.progress.step(`copying ${chroot.name}, version ${chroot.version}`);
    await copyTree(chroot.path, site.tree, site.how);
    const facts = { extends: `${chroot.name}/${chroot.version}` };
    return { facts, environment: record?.environment ?? {}, packagesInstalled: false };
  }
  await openTree(site);
  const { tree, tempDir, how, progress } = site;
  const { step } = progress;
  const made = await makeSourceTree(source, { tree, tempDir, aptMirror, packages, how, step });
  return { ...made, environment: made.environment ?? {} };
}

type MadeFrom = Pick<VersionRecord, 'recipe' | 'parent'>;

interface Finish extends Omit<Start, 'packagesInstalled'> {
  readonly from: MadeFrom;
  readonly origin: 'build' | 'refresh' | 'import';
}

async function finishVersion(
  site: Site,
  { recipe, parent, upstream, trial }: BuildRequest,
  { facts, environment: inherited, from, origin }: Finish,
): Promise<Chroot> {
  await makeUser(site, recipe);
  site.progress.step('writing what the recipe adds');
  await writeFiles(site.tree, recipe);
  if (origin === 'build') await runSteps(site, recipe);
  await playPlaybook(site, recipe);
  const environment = { ...inherited, ...recipe.environment };
  await finishTree(site.tree, { ...recipe, environment }, site.how);
  return putInPlace(site, {
    ...{ ...from, origin, environment, upstream, trial, source: facts },
    keep: recipe.keep,
    machine: machineOf(recipe, parent),
    checks: recipe.check,
    remedy: `Correct "${recipe.file}", and make it again.`,
  });
}

/** What holds for the machines of a recipe's chroot, with what it has from the one it extends. */
export function machineOf(recipe: Recipe, parent: ParentChroot | undefined): ImageSettings {
  const own = { ...recipe.machine, user: recipe.machine.user ?? recipe.user?.name };
  return parent === undefined ? own : mergeImageSettings(parent.machine, own);
}

export function missingParent({ name, file }: Recipe, parent: string): SettingsError {
  return new SettingsError(`Chroot "${parent}", which "${name}" extends, is not there.`, {
    details: [`"${file}" names it.`],
    hint: `Make it first: nspawn-runner chroot create ${parent}`,
  });
}
