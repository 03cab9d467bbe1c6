/** `nspawn-runner chroot verify`: whether jobs can use what is there. */
import { dirname } from 'node:path';
import { treeFaults } from '../chroot/check-tree.ts';
import { readImageSettings } from '../chroot/image-settings.ts';
import { findRecipe } from '../chroot/recipe-file.ts';
import { listChroots, type Chroot } from '../chroot/store.ts';
import { summarizeTree } from '../chroot/tree-list.ts';
import { readVersionRecord } from '../chroot/version.ts';
import { Failure, UsageError } from '../errors.ts';
import { requireRoot } from '../root.ts';
import { loadSettings } from '../settings.ts';
import { withVersionOf } from '../upkeep/new-version.ts';
import { requireChroot } from '../upkeep/require-chroot.ts';
import { inWorkshop, type Workshop } from '../upkeep/workshop.ts';

export interface ChrootVerifyArguments {
  readonly names: readonly string[];
  readonly settings?: string | undefined;
  readonly all?: boolean | undefined;
  readonly json?: boolean | undefined;
}

interface Verdict {
  readonly name: string;
  readonly version: string;
  readonly faults: readonly string[];
  readonly bootSec: number | undefined;
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
    for (const chroot of chroots) {
      const verdict = await verify(chroot, workshop);
      verdicts.push(verdict);
      tell(verdict, workshop);
    }
    if (args.json === true) process.stdout.write(`${JSON.stringify(verdicts, undefined, 2)}\n`);
    const bad = verdicts.filter(({ faults }) => faults.length > 0).map(({ name }) => name);
    if (bad.length === 0) return 0;
    throw new Failure(`Jobs cannot use ${bad.length} of ${chroots.length}: ${bad.join(', ')}.`, {
      hint: 'Correct what is named above; `nspawn-runner chroot update --rebuild NAME` makes a new version.',
    });
  });
}

async function verify(chroot: Chroot, workshop: Workshop): Promise<Verdict> {
  const { name, version, path } = chroot;
  const { places, signal, trial } = workshop;
  return withVersionOf(chroot, workshop, async ({ step, onLine }) => {
    step('checking the tree');
    const summary = await summarizeTree(path);
    const record = await readVersionRecord(dirname(path));
    const faults = [...(await treeFaults(path, summary.devices)), ...changes(record, summary)];
    const recipe = await findRecipe(name, places);
    step('trying a machine');
    const report = await trial?.({
      ...{ chroot, checks: recipe?.check ?? [], signal, onLine },
      machine: readImageSettings(path),
    });
    return {
      ...{ name, version, bootSec: report?.bootSec },
      faults: [...faults, ...(report?.faults ?? [])],
    };
  });
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

function tell({ name, version, faults, bootSec }: Verdict, { board }: Workshop): void {
  if (faults.length === 0) {
    const booted = bootSec === undefined ? 'not booted' : `ready after ${bootSec.toFixed(2)} s`;
    board.say(`${name}: version ${version} is good, ${booted}`);
    return;
  }
  board.say(
    [`${name}: version ${version} is not good`, ...faults.map((text) => `  ${text}`)].join('\n'),
  );
}
