/** Many chroots in one go: parents first, independent ones side by side, one report at the end. */
import { ChrootRemoved } from '../chroot/build.ts';
import { pruneVersions } from '../chroot/prune.ts';
import type { Recipe } from '../chroot/recipe.ts';
import { Failure, HostError, Stopped } from '../errors.ts';
import { renderError } from '../render-error.ts';
import { parentOf } from './family.ts';
import type { Made } from './make-chroot.ts';
import { runTasks, type TaskEnd } from './schedule.ts';
import type { Workshop } from './workshop.ts';

export interface MakeAll {
  /** Parents first. */
  readonly recipes: readonly Recipe[];
  readonly make: (recipe: Recipe) => Promise<Made>;
  /** How many at a time. */
  readonly width: number;
  /** `created`, the past of what is done, for the sentence that counts failures. */
  readonly verb: string;
  /** Called with each that succeeds, also when others fail. */
  readonly onMade?: (made: Made) => void;
}

/**
 * Makes them all and removes the versions that nobody needs any more; one that fails stops only
 * what extends it. One that somebody has removed since its update began is nothing to do.
 * @throws what failed, or a HostError that counts when there are several.
 */
export async function makeAll(plan: MakeAll, workshop: Workshop): Promise<readonly Made[]> {
  const { recipes, make, width, verb, onMade } = plan;
  const tasks = recipes.map((recipe) => ({
    name: recipe.name,
    after: [parentOf(recipe)].filter((name) => name !== undefined),
    run: async () => {
      if (workshop.signal.aborted) throw new Stopped(`"${recipe.name}" was not begun.`);
      const startedAt = performance.now();
      const made = await make(recipe).catch((error: unknown) => {
        if (error instanceof ChrootRemoved) return undefined;
        throw error;
      });
      if (made === undefined) {
        workshop.board.say(`${recipe.name}: nothing to do: it was removed meanwhile`);
        return undefined;
      }
      onMade?.(made);
      tell(made, performance.now() - startedAt, workshop);
      await prune(recipe.name, workshop);
      return made;
    },
  }));
  const ends = await runTasks(tasks, width);
  const bad = ends.filter((end) => !('result' in end));
  if (bad.length === 0) return ends.flatMap((end) => ('result' in end ? (end.result ?? []) : []));
  throw failureOf(bad, ends.length, verb, workshop);
}

/** Old versions; what keeps them is told, and is no failure of what was made. */
export async function prune(name: string, workshop: Workshop): Promise<void> {
  const { settings, inUse, board } = workshop;
  const old = await pruneVersions(settings.stateDir, name, inUse).catch((error: unknown) => {
    if (!(error instanceof HostError)) throw error;
    board.say(`${name}: old versions stay: ${error.message}`);
    return [];
  });
  const removed = old.filter(({ fate }) => fate === 'remove').length;
  const used = old.filter(({ fate }) => fate === 'in-use').length;
  if (removed > 0) board.say(`${name}: removed ${versions(removed)} that no job uses`);
  if (used === 1) board.say(`${name}: 1 old version stays until its jobs have ended`);
  if (used > 1) board.say(`${name}: ${versions(used)} stay until their jobs have ended`);
}

function versions(count: number): string {
  return count === 1 ? '1 old version' : `${count} old versions`;
}

function tell({ chroot, did, reason }: Made, durationMs: number, { board }: Workshop): void {
  const seconds =
    durationMs < 10_000 ? (durationMs / 1000).toFixed(1) : Math.round(durationMs / 1000);
  const sentence: Readonly<Record<Made['did'], string>> = {
    built: `version ${chroot.version} is current after ${seconds} s`,
    refreshed: `version ${chroot.version} is current after ${seconds} s, a refreshed copy`,
    settings: `version ${chroot.version} stays, with the recipe's new settings for machines`,
    nothing: `nothing to do, version ${chroot.version} stays: ${reason}`,
  };
  board.say(`${chroot.name}: ${sentence[did]}`);
}

function failureOf(
  bad: readonly TaskEnd<Made | undefined>[],
  total: number,
  verb: string,
  { board, signal }: Workshop,
): unknown {
  const errors = bad.flatMap((end) => ('error' in end ? [end] : []));
  const [only] = errors;
  if (only !== undefined && (total === 1 || signal.aborted)) return only.error;
  for (const { error } of errors) board.say(renderError(error).trimEnd());
  for (const end of bad) {
    if ('failed' in end) board.say(`${end.name}: not ${verb}, because "${end.failed}" was not`);
  }
  const names = bad.map(({ name }) => name).join(', ');
  const were = bad.length === 1 ? 'was' : 'were';
  return new Failure(`${bad.length} of ${total} chroots ${were} not ${verb}: ${names}.`);
}
