/** `nspawn-runner chroot`: the base trees that machines boot from. */
import { buildChroot } from '../chroot/build.ts';
import { createProgress } from '../chroot/progress.ts';
import { loadRecipe, type Recipe } from '../chroot/recipe.ts';
import { findChroot, listChroots, type Chroot } from '../chroot/store.ts';
import { say } from '../log.ts';
import { requireRoot } from '../root.ts';
import { loadSettings, type Settings } from '../settings.ts';

export interface ChrootCreateArguments {
  readonly names: readonly string[];
  readonly settings?: string | undefined;
  /** Leaves chroots alone that are there. */
  readonly ifMissing?: boolean | undefined;
}

/** Builds a new version of each, one after the other, and makes it current. */
export async function chrootCreate(
  args: ChrootCreateArguments,
  signal: AbortSignal,
): Promise<number> {
  const settings = await loadSettings(args.settings);
  const wanted = [];
  for (const name of new Set(args.names)) {
    const there = args.ifMissing === true ? await findChroot(settings.stateDir, name) : undefined;
    if (there === undefined) wanted.push(name);
    else say(`${name}: version ${there.version} is there already`);
  }
  // All recipes are read before the first is built: a fault in the last one is told now.
  const recipes = await Promise.all(wanted.map((name) => loadRecipe(name, settings.recipeDirs)));
  if (recipes.length > 0) requireRoot('chroot create');
  for (const recipe of recipes) await create(recipe, settings, signal);
  return 0;
}

async function create(recipe: Recipe, settings: Settings, signal: AbortSignal): Promise<void> {
  const startedAt = performance.now();
  const progress = createProgress(recipe.name, {
    columns: process.stderr.isTTY ? process.stderr.columns : undefined,
    write: (text) => process.stderr.write(text),
    now: () => performance.now(),
  });
  const { stateDir, aptMirror } = settings;
  try {
    const chroot = await buildChroot({ stateDir, recipe, aptMirror, progress, signal });
    progress.end();
    const seconds = Math.round((performance.now() - startedAt) / 1000);
    say(`${chroot.name}: version ${chroot.version} is current after ${seconds} s`);
  } finally {
    progress.end();
  }
}

/** Lists the chroots that jobs can use. */
export async function chrootList(args: {
  readonly settings?: string | undefined;
  readonly json?: boolean | undefined;
}): Promise<number> {
  const { stateDir } = await loadSettings(args.settings);
  const chroots = await listChroots(stateDir);
  if (args.json === true) {
    const rows = chroots.map(({ name, version, createdAt, path }) => ({
      name,
      version,
      created: createdAt.toISOString(),
      path,
    }));
    process.stdout.write(`${JSON.stringify(rows, undefined, 2)}\n`);
  } else if (chroots.length === 0) {
    say(`There are no chroots in "${stateDir}"; make one with: nspawn-runner chroot create NAME`);
  } else {
    process.stdout.write(table(chroots, new Date()));
  }
  return 0;
}

function table(chroots: readonly Chroot[], now: Date): string {
  const rows = [
    ['NAME', 'VERSION', 'AGE', 'PATH'],
    ...chroots.map((chroot) => [chroot.name, chroot.version, age(chroot, now), chroot.path]),
  ];
  const widths = [0, 1, 2].map((column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows
    .map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ') + '\n')
    .join('');
}

/** In the largest unit that gives a number. */
function age({ createdAt }: Chroot, now: Date): string {
  const minutes = Math.max(0, Math.floor((now.getTime() - createdAt.getTime()) / 60_000));
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h`;
  return `${Math.floor(minutes / (24 * 60))} d`;
}
