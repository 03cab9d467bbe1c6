/** `nspawn-runner chroot create` and `chroot update`: trees from recipes. */
import { availableParallelism } from 'node:os';
import { listRecipes } from '../chroot/recipe-file.ts';
import type { Recipe } from '../chroot/recipe.ts';
import { findChroot, listChroots } from '../chroot/store.ts';
import { Failure, UsageError } from '../errors.ts';
import { renderError } from '../render-error.ts';
import { requireRoot } from '../root.ts';
import { loadSettings } from '../settings.ts';
import { loadFamily, loadGoodFamily } from '../upkeep/family.ts';
import { makeAll, type MakeAll } from '../upkeep/make-all.ts';
import { createChroot, updateChroot, type Force, type Made } from '../upkeep/make-chroot.ts';
import { inWorkshop, recipePlaces, type Workshop } from '../upkeep/workshop.ts';

export interface ChrootMakeArguments {
  readonly names: readonly string[];
  readonly settings?: string | undefined;
  readonly all?: boolean | undefined;
  /** How many are made at a time. */
  readonly jobs?: number | undefined;
  readonly json?: boolean | undefined;
}

export interface ChrootCreateArguments extends ChrootMakeArguments {
  /** Leaves chroots alone that are there. */
  readonly ifMissing?: boolean | undefined;
}

export interface ChrootUpdateArguments extends ChrootMakeArguments {
  readonly rebuild?: boolean | undefined;
  readonly refresh?: boolean | undefined;
}

/** Builds a new version of each, parents that are missing first, and makes it current. */
export async function chrootCreate(
  args: ChrootCreateArguments,
  signal: AbortSignal,
): Promise<number> {
  const settings = await loadSettings(args.settings);
  requireRoot('chroot create');
  const places = recipePlaces(settings);
  // Whoever sets up a host from his recipes does not want ours built as well.
  const names = await namesOf(args, () => listRecipes({ ...places, shippedDirs: [] }));
  const family = await loadFamily(names, places);
  return inWorkshop(settings, signal, async (workshop) => {
    const recipes: Recipe[] = [];
    for (const recipe of family) {
      const there = await findChroot(settings.stateDir, recipe.name);
      const isWanted = names.includes(recipe.name) && args.ifMissing !== true;
      if (there === undefined || isWanted) recipes.push(recipe);
      else if (names.includes(recipe.name)) {
        workshop.board.say(`${recipe.name}: version ${there.version} is there already`);
      }
    }
    const make = (recipe: Recipe): Promise<Made> => createChroot(recipe, family, workshop);
    await makeAndList(args, { recipes, make, width: width(args), verb: 'made' }, workshop);
    return 0;
  });
}

/** Brings each up to date with recipe, parent and upstream, parents first. */
export async function chrootUpdate(
  args: ChrootUpdateArguments,
  signal: AbortSignal,
): Promise<number> {
  const settings = await loadSettings(args.settings);
  requireRoot('chroot update');
  const places = recipePlaces(settings);
  const names = await namesOf(args, async () => {
    // What was imported or whose recipe has gone is nobody's to update.
    const recipes = await listRecipes(places);
    const chroots = await listChroots(settings.stateDir);
    return chroots.map(({ name }) => name).filter((name) => recipes.includes(name));
  });
  const load = args.all === true ? loadGoodFamily : loadWholeFamily;
  const { recipes, bad } = await load(names, places);
  const force = forceOf(args);
  return inWorkshop(settings, signal, async (workshop: Workshop) => {
    for (const { error } of bad) workshop.board.say(renderError(error).trimEnd());
    const make = (recipe: Recipe): Promise<Made> =>
      updateChroot(recipe, recipes, workshop, names.includes(recipe.name) ? force : undefined);
    const plan = { recipes, make, width: width(args), verb: 'brought up to date' };
    await makeAndList(args, plan, workshop);
    if (bad.length === 0) return 0;
    const badNames = bad.map(({ name }) => name).join(', ');
    throw new Failure(`Not brought up to date, because of bad recipes: ${badNames}.`);
  });
}

async function loadWholeFamily(
  ...args: Parameters<typeof loadFamily>
): ReturnType<typeof loadGoodFamily> {
  return { recipes: await loadFamily(...args), bad: [] };
}

async function namesOf(
  { names, all }: ChrootMakeArguments,
  everything: () => Promise<readonly string[]>,
): Promise<readonly string[]> {
  if (all === true && names.length > 0) {
    throw new UsageError('Say either names or --all, not both.');
  }
  if (all === true) return everything();
  if (names.length > 0) return [...new Set(names)];
  throw new UsageError('Say which chroots: names, or --all.', {
    hint: '`nspawn-runner chroot list` shows those that are there.',
  });
}

function forceOf({ rebuild, refresh }: ChrootUpdateArguments): Force {
  if (rebuild === true && refresh === true) {
    throw new UsageError('Say either --rebuild or --refresh, not both.');
  }
  return rebuild === true ? 'rebuild' : refresh === true ? 'refresh' : undefined;
}

/** mmdebstrap and dpkg use little more than one processor each, and jobs want the rest. */
function width({ jobs }: ChrootMakeArguments): number {
  if (jobs !== undefined && (!Number.isInteger(jobs) || jobs < 1)) {
    throw new UsageError('--jobs: expected a whole number from 1.');
  }
  return jobs ?? Math.max(1, Math.floor(availableParallelism() / 2));
}

/** What was made is there, and is listed, also when others fail. */
async function makeAndList(
  { json }: ChrootMakeArguments,
  plan: MakeAll,
  workshop: Workshop,
): Promise<void> {
  const made = new Map<string, Made>();
  const onMade = (one: Made): unknown => made.set(one.chroot.name, one);
  try {
    await makeAll({ ...plan, onMade }, workshop);
  } finally {
    if (json === true) {
      const rows = plan.recipes.flatMap(({ name }) => rowsOf(made.get(name)));
      process.stdout.write(`${JSON.stringify(rows, undefined, 2)}\n`);
    }
  }
}

function rowsOf(made: Made | undefined): readonly unknown[] {
  if (made === undefined) return [];
  const { chroot, did, reason } = made;
  return [{ name: chroot.name, version: chroot.version, did, reason }];
}
