/** One chroot, made anew or brought up to date from its recipe. */
import { open } from 'node:fs/promises';
import { devNull } from 'node:os';
import { dirname } from 'node:path';
import {
  buildChroot,
  ChrootRemoved,
  machineOf,
  refreshChroot,
  type BuildRequest,
} from '../chroot/build.ts';
import { treeCommand } from '../chroot/build-command.ts';
import { imageSettingsFile, readImageSettings } from '../chroot/image-settings.ts';
import { withLookDirectory } from '../chroot/look-directory.ts';
import { hasUpgrades, packageManagerOf } from '../chroot/package-manager.ts';
import type { Progress } from '../chroot/progress.ts';
import { recipeDigest } from '../chroot/recipe-digest.ts';
import type { Recipe } from '../chroot/recipe.ts';
import type { Source } from '../chroot/source.ts';
import { upstreamState } from '../chroot/source-tree.ts';
import { chrootDir, findChroot, type Chroot } from '../chroot/store.ts';
import {
  decideUpdate,
  upstreamOfRefresh,
  type UpdateDecision,
  type UpdateFacts,
} from '../chroot/update-decision.ts';
import {
  readUpstream,
  readVersionRecord,
  replaceFile,
  writeKeep,
  writeUpstream,
  type VersionRecord,
} from '../chroot/version.ts';
import { writeFailure } from '../chroot/write-failure.ts';
import { HostError, Stopped } from '../errors.ts';
import { requireFreeSpace } from './disk-space.ts';
import { parentOf, type FamilyMember } from './family.ts';
import { parentChroot, requireParent } from './parent-chroot.ts';
import type { Workshop } from './workshop.ts';

export interface Made {
  readonly chroot: Chroot;
  readonly did: 'built' | 'refreshed' | 'settings' | 'nothing';
  readonly reason: string;
}

export type Force = 'rebuild' | 'refresh' | undefined;

interface Bench extends Workshop {
  readonly recipe: Recipe;
  readonly family: readonly Recipe[];
  readonly progress: Progress;
}

/**
 * Builds a new version, whatever there is.
 * @param family the recipe and all that it extends.
 */
export async function createChroot(
  recipe: Recipe,
  family: readonly Recipe[],
  workshop: Workshop,
): Promise<Made> {
  return atBench(recipe, family, workshop, async (bench) => {
    const upstream = await upstreamOf(bench);
    const chroot = await buildChroot(await buildRequest(bench, { upstream, mustBeThere: false }));
    return { chroot, did: 'built', reason: 'asked for' };
  });
}

/**
 * Does what brings the chroot up to date with recipe, parent and upstream, which may be nothing.
 * @throws ChrootRemoved for one that was there when its family was read and is not any more.
 */
export async function updateChroot(
  recipe: Recipe,
  family: readonly FamilyMember[],
  workshop: Workshop,
  force: Force,
): Promise<Made> {
  return atBench(recipe, family, workshop, async (bench) => {
    const { name } = recipe;
    const { stateDir } = workshop.settings;
    bench.progress.step('looking for changes');
    const chroot = await findChroot(stateDir, name);
    const wasThere = family.find((one) => one.name === name)?.hadChroot === true;
    if (chroot === undefined && wasThere) throw new ChrootRemoved(name);
    try {
      return await bringUpToDate(bench, chroot, force);
    } catch (error) {
      if (chroot === undefined || error instanceof Stopped) throw error;
      // What fails where a tree is being taken away says nothing of the tree.
      if ((await findChroot(stateDir, name)) === undefined) throw new ChrootRemoved(name);
      throw error;
    }
  });
}

async function bringUpToDate(
  bench: Bench,
  chroot: Chroot | undefined,
  force: Force,
): Promise<Made> {
  // A torn one is what a rebuild is asked for.
  const record =
    chroot && force !== 'rebuild' ? await readVersionRecord(dirname(chroot.path)) : undefined;
  const upstream = await upstreamOf(bench);
  const facts = await factsOf(bench, { chroot, record, upstream, force });
  const { action, reason } = await decide(bench, chroot, facts);
  if (action === 'none' && chroot !== undefined) {
    await rememberUpstream(chroot, upstream);
    const did = (await renewSettings(bench, chroot)) ? 'settings' : 'nothing';
    return { chroot, did, reason };
  }
  const mustBeThere = chroot !== undefined;
  if (action === 'refresh' && record !== undefined) {
    const request = await buildRequest(bench, { upstream: upstreamOfRefresh(facts), mustBeThere });
    return { chroot: await refreshChroot(request), did: 'refreshed', reason };
  }
  const request = await buildRequest(bench, { upstream, mustBeThere });
  return { chroot: await buildChroot(request), did: 'built', reason };
}

async function atBench(
  recipe: Recipe,
  family: readonly Recipe[],
  workshop: Workshop,
  work: (bench: Bench) => Promise<Made>,
): Promise<Made> {
  const progress = workshop.board.open(recipe.name);
  try {
    return await work({ ...workshop, recipe, family, progress });
  } finally {
    workshop.board.close(recipe.name);
  }
}

async function buildRequest(
  bench: Bench,
  known: Pick<BuildRequest, 'upstream' | 'mustBeThere'>,
): Promise<BuildRequest> {
  const { settings, recipe, progress, signal, trial } = bench;
  await requireFreeSpace(settings);
  return {
    stateDir: settings.stateDir,
    ...{ recipe, progress, signal, trial, ...known },
    parent: await requireParent(recipe, settings.stateDir),
    aptMirror: settings.aptMirror,
  };
}

/** Where the packages come from, through all that the recipe extends. */
function rootOf(recipe: Recipe, family: readonly Recipe[]): Source {
  const name = parentOf(recipe);
  const parent = family.find((one) => one.name === name);
  return parent === undefined ? recipe.source : rootOf(parent, family);
}

/** A refresh brings these up to date; an image or an archive stays the one that it was. */
function isUpstreamPackages({ recipe, family }: Bench): boolean {
  return ['debian', 'fedora'].includes(rootOf(recipe, family).kind);
}

async function upstreamOf(bench: Bench): Promise<string | undefined> {
  const { recipe, family, settings, progress, signal } = bench;
  const source = rootOf(recipe, family);
  if (source.kind === 'extends') return undefined;
  return withConfinement(signal, progress.line, (how) =>
    withLookDirectory((tempDir) =>
      upstreamState(source, { tempDir, aptMirror: settings.aptMirror, how }),
    ),
  );
}

interface Situation {
  readonly chroot: Chroot | undefined;
  readonly record: VersionRecord | undefined;
  readonly upstream: string | undefined;
  readonly force: Force;
}

async function factsOf(
  bench: Bench,
  { chroot, record, upstream, force }: Situation,
): Promise<UpdateFacts> {
  const { recipe } = bench;
  const parent = await parentChroot(recipe, bench.settings.stateDir);
  const manager = chroot && (await packageManagerOf(chroot.path));
  return {
    current: chroot && {
      version: chroot.version,
      digest: record?.recipe?.digest,
      isImport: record?.origin === 'import' || record?.origin === 'login',
      parentVersion: record?.parent?.version,
      upstream: await readUpstream(dirname(chroot.path)),
    },
    digest: await recipeDigest(recipe, bench.settings.aptMirror),
    parent: parent?.chroot,
    hasPackages: manager !== undefined,
    isUpstreamPackages: isUpstreamPackages(bench),
    update: recipe.update,
    ...{ upstream, force },
  };
}

async function decide(
  bench: Bench,
  chroot: Chroot | undefined,
  facts: UpdateFacts,
): Promise<UpdateDecision> {
  const decision = decideUpdate(facts);
  if (decision.action !== 'look' || chroot === undefined) return decision;
  const manager = await packageManagerOf(chroot.path);
  if (manager === undefined) return decision;
  const { recipe, settings } = bench;
  const inTree = { tree: chroot.path, dir: chrootDir(settings.stateDir, recipe.name) };
  const command = treeCommand(inTree, recipe);
  const isOld = await withConfinement(bench.signal, bench.progress.line, (how) =>
    hasUpgrades(manager, { command, how }),
  );
  if (isOld) return { action: recipe.update, reason: 'there are newer packages' };
  if (facts.upstream !== undefined) await noteUpstream(chroot, facts.upstream);
  return { action: 'none', reason: 'there are no newer packages' };
}

/** An import comes without: what upstream offers now is what later offers are compared with. */
async function rememberUpstream(chroot: Chroot, upstream: string | undefined): Promise<void> {
  if (upstream === undefined || (await readUpstream(dirname(chroot.path))) !== undefined) return;
  await noteUpstream(chroot, upstream);
}

async function noteUpstream(chroot: Chroot, upstream: string): Promise<void> {
  await writeBeside(chroot, (directory) => writeUpstream(directory, upstream));
}

/** What holds for machines changes without a new tree. */
async function renewSettings(bench: Bench, chroot: Chroot): Promise<boolean> {
  const parent = await requireParent(bench.recipe, bench.settings.stateDir);
  const now = JSON.stringify(machineOf(bench.recipe, parent), undefined, 2);
  await writeBeside(chroot, (directory) => writeKeep(directory, bench.recipe.keep));
  const before = JSON.stringify(readImageSettings(chroot.path), undefined, 2);
  if (now === before) return false;
  await writeBeside(chroot, () => replaceFile(imageSettingsFile(chroot.path), `${now}\n`));
  return true;
}

/** Into the directory of a version, without a lock: another update may have replaced and removed it. */
async function writeBeside(
  { name, path }: Chroot,
  write: (directory: string) => Promise<void>,
): Promise<void> {
  const directory = dirname(path);
  try {
    await write(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw writeFailure(error, directory);
    throw new HostError(`Chroot "${name}" was removed or replaced while its update began.`, {
      hint: 'Try again.',
      cause: error,
    });
  }
}

/** For programs that look and make nothing: there is no lock for them to hold. */
async function withConfinement<T>(
  signal: AbortSignal,
  onLine: (line: string) => void,
  work: (how: {
    readonly lockFd: number;
    readonly onLine: (line: string) => void;
    readonly signal: AbortSignal;
  }) => Promise<T>,
): Promise<T> {
  const file = await open(devNull, 'r').catch((cause: unknown) => {
    throw new HostError(`"${devNull}" cannot be opened.`, { cause });
  });
  try {
    return await work({ lockFd: file.fd, onLine, signal });
  } finally {
    await file.close();
  }
}
