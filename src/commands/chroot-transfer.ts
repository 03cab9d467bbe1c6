/** `nspawn-runner chroot export` and `chroot import`: chroots that go from host to host. */
import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { adoptTree } from '../chroot/adopt-tree.ts';
import { peekExport } from '../chroot/export-peek.ts';
import type { ExportRecord } from '../chroot/export-record.ts';
import { exportVersion } from '../chroot/export.ts';
import { unpackExport } from '../chroot/import.ts';
import { isChrootName, type Chroot } from '../chroot/store.ts';
import { withoutPlaybook } from '../chroot/predecessor.ts';
import type { VersionRecord } from '../chroot/version.ts';
import { UsageError } from '../errors.ts';
import { say } from '../log.ts';
import { requireRoot } from '../root.ts';
import { loadSettings } from '../settings.ts';
import { bringIn, withVersionOf } from '../upkeep/new-version.ts';
import { requireChroot } from '../upkeep/require-chroot.ts';
import { inWorkshop, type Workshop } from '../upkeep/workshop.ts';

export interface ChrootExportArguments {
  readonly name: string;
  /** "-" is standard output. */
  readonly file?: string | undefined;
  readonly force?: boolean | undefined;
  readonly settings?: string | undefined;
}

export interface ChrootImportArguments {
  readonly source: string;
  readonly name?: string | undefined;
  /** Of the file, hexadecimal. */
  readonly sha256?: string | undefined;
  readonly settings?: string | undefined;
}

const MIB = 1024 * 1024;

export async function chrootExport(
  args: ChrootExportArguments,
  signal: AbortSignal,
): Promise<number> {
  const settings = await loadSettings(args.settings);
  requireRoot('chroot export');
  const found = await requireChroot(args.name, settings);
  const { name, version, file, sha256, bytes } = await inWorkshop(settings, signal, (workshop) =>
    withVersionOf(found, workshop, async (how) => {
      // An update may have replaced it since it was found.
      const chroot = await requireChroot(args.name, settings);
      const file = args.file ?? `${chroot.name}-${chroot.version}.tar.zst`;
      const made = await exportVersion(chroot, file, { ...how, force: args.force === true });
      return { ...chroot, ...made, file };
    }),
  );
  say(`${name}: version ${version} is in "${file}", ${Math.ceil(bytes / MIB)} MiB`);
  say(`sha256 ${sha256}`);
  return 0;
}

/** A directory is a tree of another tool's; a file is an export. */
export async function chrootImport(
  args: ChrootImportArguments,
  signal: AbortSignal,
): Promise<number> {
  const settings = await loadSettings(args.settings);
  requireRoot('chroot import');
  const source = resolve(args.source);
  const found = await stat(source).catch((cause: unknown) => {
    throw new UsageError(`"${args.source}" cannot be read.`, {
      details: [(cause as Error).message],
      hint: 'Name a file that `chroot export` wrote, or the directory of a tree.',
      cause,
    });
  });
  const chroot = await inWorkshop(settings, signal, (workshop) =>
    found.isDirectory()
      ? importDirectory(source, args, workshop)
      : importFile(source, args, workshop),
  );
  say(`${chroot.name}: version ${chroot.version} is current`);
  return 0;
}

async function importDirectory(
  source: string,
  { name = basename(source), sha256 }: ChrootImportArguments,
  workshop: Workshop,
): Promise<Chroot> {
  requireName(name);
  if (sha256 !== undefined) throw new UsageError('--sha256: expected a file, got a directory.');
  return bringIn(name, workshop, async ({ tree, how, progress }) => {
    progress.step(`copying ${source}`);
    const facts = await adoptTree(source, tree, how);
    // The Python tool's limits held for every tree.
    const { machine } = withoutPlaybook(name, 'unstable');
    return { source: facts, environment: {}, machine };
  });
}

async function importFile(
  file: string,
  { name, sha256 }: ChrootImportArguments,
  workshop: Workshop,
): Promise<Chroot> {
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/i.test(sha256)) {
    throw new UsageError(`--sha256: expected 64 hexadecimal digits, got "${sha256}".`);
  }
  const announced = await peekExport(file, workshop.signal);
  const { machine } = announced;
  const chroot = await bringIn(requireName(name ?? announced.name), workshop, async (site) => {
    const { step } = site.progress;
    const record = await unpackExport(file, site.building, { ...site.how, step, sha256 });
    return {
      source: { export: `${record.name}/${record.version}`, digest: record.digest },
      environment: environmentOf(record),
      machine: { format: 1 },
      ...recipeOf(record),
    };
  });
  // Binds and options of another host are not this operator's word.
  if (machine !== null && JSON.stringify(machine) !== '{"format":1}') {
    say(
      `${chroot.name}: what its recipe said of machines is not taken over; a recipe of that name on this host says it.`,
    );
  }
  return chroot;
}

function requireName(name: string): string {
  if (isChrootName(name)) return name;
  throw new UsageError(`"${name}" cannot be the name of a chroot.`, {
    hint: 'Give it another with --name: at most 64 letters, digits, ".", "_" and "-", the first a letter or a digit.',
  });
}

/** What the tree itself sets already; a chroot that extends this one adds to it. */
function environmentOf({ versionRecord }: ExportRecord): Readonly<Record<string, string>> {
  if (typeof versionRecord !== 'object' || versionRecord === null) return {};
  const { environment } = versionRecord as { environment?: unknown };
  if (typeof environment !== 'object' || environment === null) return {};
  const entries = Object.entries(environment);
  const texts = entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return Object.fromEntries(texts);
}

/** The same recipe on both hosts makes the same tree: there is nothing to update then. */
function recipeOf({ versionRecord }: ExportRecord): Pick<VersionRecord, 'recipe'> {
  const { recipe } = (versionRecord ?? {}) as Partial<VersionRecord>;
  return typeof recipe?.file === 'string' && typeof recipe.digest === 'string' ? { recipe } : {};
}
