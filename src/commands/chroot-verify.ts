/** `nspawn-runner chroot verify`: whether jobs can use what is there. */
import { dirname } from 'node:path';
import { treeFaults } from '../chroot/check-tree.ts';
import { readImageSettings } from '../chroot/image-settings.ts';
import type { Progress } from '../chroot/progress.ts';
import { findRecipe } from '../chroot/recipe-file.ts';
import { listChroots, type Chroot } from '../chroot/store.ts';
import { summarizeTree } from '../chroot/tree-list.ts';
import { readVersionRecord } from '../chroot/version.ts';
import { Failure, Stopped, UsageError } from '../errors.ts';
import { renderError } from '../render-error.ts';
import { requireRoot } from '../root.ts';
import { loadSettings } from '../settings.ts';
import type { ConfinedRun } from '../tools/confined.ts';
import { withVersionOf } from '../upkeep/new-version.ts';
import { requireChroot } from '../upkeep/require-chroot.ts';
import { inWorkshop, type Workshop } from '../upkeep/workshop.ts';

export interface ChrootVerifyArguments {
  readonly names: readonly string[];
  readonly settings?: string | undefined;
  readonly all?: boolean | undefined;
  readonly json?: boolean | undefined;
}

export interface Verdict {
  readonly name: string;
  readonly version: string;
  /** Why jobs cannot use it. */
  readonly faults: readonly string[];
  /** Why it is not known whether they can: somebody builds it, its record or recipe is bad. */
  readonly obstacles: readonly string[];
  readonly bootSec: number | undefined;
}

interface Look extends ConfinedRun, Pick<Progress, 'step'> {
  readonly workshop: Workshop;
  readonly faults: string[];
  readonly obstacles: string[];
}

/** Repeats what every version goes through before it becomes current. */
export async function chrootVerify(
  args: ChrootVerifyArguments,
  signal: AbortSignal,
): Promise<number> {
  const settings = await loadSettings(args.settings);
  requireRoot('chroot verify');
  if ((args.all === true) === args.names.length > 0) {
    throw new UsageError('Say which chroots: names, or --all.');
  }
  const chroots =
    args.all === true
      ? await listChroots(settings.stateDir)
      : await Promise.all(args.names.map((name) => requireChroot(name, settings)));
  return inWorkshop(settings, signal, async (workshop) => {
    const verdicts: Verdict[] = [];
    try {
      for (const chroot of chroots) {
        const verdict = await verify(chroot, workshop);
        verdicts.push(verdict);
        tell(verdict, workshop);
      }
    } finally {
      if (args.json === true) {
        process.stdout.write(`${JSON.stringify(verdicts.map(rowOf), undefined, 2)}\n`);
      }
    }
    const failure = verdictFailure(verdicts);
    if (failure !== undefined) throw failure;
    return 0;
  });
}

async function verify(listed: Chroot, workshop: Workshop): Promise<Verdict> {
  const { name } = listed;
  const found = { faults: [], obstacles: [] };
  let chroot = listed;
  const bootSec = await failuresInto(found.obstacles, workshop.signal, () =>
    withVersionOf(listed, workshop, async (how) => {
      // An update may have replaced it since it was listed.
      chroot = await requireChroot(name, workshop.settings);
      return look(chroot, { ...how, ...found, workshop });
    }),
  );
  return { name, version: chroot.version, ...found, bootSec };
}

/** @returns seconds until the machine was ready, where one was tried and booted. */
async function look(chroot: Chroot, how: Look): Promise<number | undefined> {
  const { name, path } = chroot;
  const { workshop, faults, obstacles, step, onLine } = how;
  const { places, signal, trial } = workshop;
  step('checking the tree');
  const summary = await summarizeTree(path);
  faults.push(...(await treeFaults(path, summary.devices)));
  const record = await failuresInto(obstacles, signal, () => readVersionRecord(dirname(path)));
  faults.push(...changes(record, summary));
  const recipe = await failuresInto(obstacles, signal, () => findRecipe(name, places));
  const machine = await failuresInto(faults, signal, () => readImageSettings(path));
  if (machine === undefined || trial === undefined) return undefined;
  step('trying a machine');
  const checks = recipe?.check ?? [];
  const report = await failuresInto(faults, signal, () =>
    trial({ chroot, checks, machine, signal, onLine }),
  );
  faults.push(...(report?.faults ?? []));
  return report?.bootSec;
}

/** What one chroot fails with must not keep the next from being verified. */
async function failuresInto<T>(
  list: string[],
  signal: AbortSignal,
  work: () => T | Promise<T>,
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Failure) || error instanceof Stopped || signal.aborted) throw error;
    list.push(...renderError(error).trimEnd().split('\n'));
    return undefined;
  }
}

/** A version's tree is never changed: what differs from its record was changed by hand. */
function changes(
  record: Awaited<ReturnType<typeof readVersionRecord>>,
  { files, bytes, setuid }: Awaited<ReturnType<typeof summarizeTree>>,
): readonly string[] {
  if (record === undefined) return [];
  const added = setuid.filter((path) => !record.setuid.includes(path));
  return [
    ...added.map((path) => `"${path}" has become set-user-ID or set-group-ID.`),
    ...(files === record.files && bytes === record.bytes
      ? []
      : [
          `The tree has ${files} files and ${bytes} bytes, and had ${record.files} and ${record.bytes}.`,
        ]),
  ];
}

function rowOf({ name, version, faults, obstacles, bootSec }: Verdict): unknown {
  return { name, version, faults: [...faults, ...obstacles], bootSec };
}

function tell(verdict: Verdict, { board }: Workshop): void {
  const { name, version, faults, obstacles, bootSec } = verdict;
  if (faults.length + obstacles.length === 0) {
    const booted = bootSec === undefined ? 'not booted' : `ready after ${bootSec.toFixed(2)} s`;
    board.say(`${name}: version ${version} is good, ${booted}`);
    return;
  }
  const is = faults.length > 0 ? 'is not good' : 'could not be verified';
  const lines = [...faults, ...obstacles].map((text) => `  ${text}`);
  board.say([`${name}: version ${version} ${is}`, ...lines].join('\n'));
}

/** Undefined when all are good. */
export function verdictFailure(verdicts: readonly Verdict[]): Failure | undefined {
  const bad = verdicts.filter(({ faults }) => faults.length > 0);
  const unknown = verdicts.filter((one) => !bad.includes(one) && one.obstacles.length > 0);
  const sentences = [
    ...(bad.length === 0 ? [] : [`Jobs cannot use ${count(bad, verdicts)}.`]),
    ...(unknown.length === 0 ? [] : [`Not verified: ${count(unknown, verdicts)}.`]),
  ];
  if (sentences.length === 0) return undefined;
  return new Failure(sentences.join(' '), {
    hint: 'Correct what is named above; `nspawn-runner chroot update --rebuild NAME` makes a new version.',
  });
}

function count(some: readonly Verdict[], all: readonly Verdict[]): string {
  return `${some.length} of ${all.length}: ${some.map(({ name }) => name).join(', ')}`;
}
