/**
 * A version as one file, for another host: `NAME.tar.zst`, which any GNU tar unpacks.
 *
 *     export.json    what it is, first
 *     tree/…         the tree
 *
 * and a seal (export-seal.ts).
 */
import { createReadStream } from 'node:fs';
import { lstat, mkdtemp, open, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { HostError } from '../errors.ts';
import type { ConfinedRun } from '../tools/confined.ts';
import { packTree } from '../tools/tar-tree.ts';
import { requireZstd } from '../tools/zstd.ts';
import { EXPORT_FORMAT, EXPORT_RECORD, EXPORT_TREE, type ExportRecord } from './export-record.ts';
import { sealFile, type Sealed } from './export-seal.ts';
import { isStandardDevice } from './standard-devices.ts';
import { versionTime, type Chroot } from './store.ts';
import { digestTree } from './tree-digest.ts';
import { summarizeTree } from './tree-list.ts';

/** Standard output. */
const STDOUT = '-';

export interface ExportRun extends ConfinedRun {
  /** Names the step for people. */
  readonly step: (text: string) => void;
  /** Replaces a file that is there. */
  readonly force?: boolean;
}

/**
 * Writes a version to a file that only root can read, or to standard output for "-". It is there
 * whole or not at all.
 * @throws HostError when the file is there, or the tree has what no import takes.
 */
export async function exportVersion(
  chroot: Pick<Chroot, 'name' | 'version' | 'path'>,
  file: string,
  how: ExportRun,
): Promise<Sealed> {
  await requireZstd();
  const target = file === STDOUT ? undefined : resolve(file);
  if (target !== undefined) await expectPlace(target, how.force === true);
  const temp = await openTemp(target ?? `/var/tmp/${chroot.name}`);
  try {
    const archive = join(temp, 'archive');
    const record = await describe(chroot, how);
    await writeRecord(join(temp, EXPORT_RECORD), record);
    how.step('packing the tree');
    await (await open(archive, 'wx', 0o600)).close();
    const parts = [
      { directory: temp, name: EXPORT_RECORD },
      { directory: dirname(chroot.path), name: EXPORT_TREE },
    ];
    await packTree(archive, parts, how);
    const sealed = await sealFile(archive);
    if (target === undefined) await printFile(archive);
    else await putFile(archive, target, how.force === true);
    return sealed;
  } finally {
    await rm(temp, { recursive: true, force: true });
  }
}

/** Beside the file, so that it gets its name at once when it is whole; nobody else can enter. */
async function openTemp(target: string): Promise<string> {
  try {
    return await mkdtemp(join(dirname(target), `.${basename(target)}.`));
  } catch (error) {
    throw new HostError(`"${dirname(target)}" cannot be written to.`, {
      details: [error instanceof Error ? error.message : String(error)],
      hint: 'Name a file in a directory that is there.',
      cause: error,
    });
  }
}

async function describe(
  { name, version, path }: Pick<Chroot, 'name' | 'version' | 'path'>,
  { step, signal }: ExportRun,
): Promise<ExportRecord> {
  if (basename(path) !== EXPORT_TREE) throw new Error(`"${path}" is no version's tree.`);
  step('reading the tree');
  const { bytes, files, devices } = await summarizeTree(path);
  const strange = devices.filter((device) => !isStandardDevice(device));
  if (strange.length > 0) {
    throw new HostError(`Version ${version} of "${name}" has devices, which no import takes.`, {
      details: strange,
      hint: 'Remove them by a step of its recipe, and make it again.',
    });
  }
  return {
    format: EXPORT_FORMAT,
    name,
    version,
    created: versionTime(version)?.toISOString() ?? '',
    digest: await digestTree(path, signal),
    bytes,
    files,
    versionRecord: await readJson(join(path, '../version.json')),
    machine: await readJson(join(path, '../machine.json')),
  };
}

/** Null for one that is not there: versions of the first releases have only some. */
async function readJson(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'null';
    throw error;
  });
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new HostError(`"${path}" is torn.`, { cause: error });
  }
}

/** With the version's time, so that one version gives the same file again. */
async function writeRecord(path: string, record: ExportRecord): Promise<void> {
  await writeFile(path, `${JSON.stringify(record, undefined, 2)}\n`, { mode: 0o600 });
  const time = new Date(record.created === '' ? 0 : record.created);
  await utimes(path, time, time);
}

/** Asked before the work; what comes meanwhile is seen when the file is put in place. */
async function expectPlace(target: string, force: boolean): Promise<void> {
  const found = await lstat(target).catch(() => undefined);
  if (found === undefined) return;
  if (!force) throw taken(target);
  if (found.isFile()) return;
  throw new HostError(`"${target}" is no file, and is not replaced.`);
}

async function printFile(archive: string): Promise<void> {
  try {
    await pipeline(createReadStream(archive), process.stdout, { end: false });
  } catch (error) {
    throw new HostError('Standard output was closed before the export was whole.', {
      cause: error,
    });
  }
}

/** rename(2) replaces whatever is there; a file that is made for it by open(2) is nobody else's. */
async function putFile(archive: string, target: string, force: boolean): Promise<void> {
  if (!force) await claim(target);
  await rename(archive, target);
}

async function claim(target: string): Promise<void> {
  try {
    await (await open(target, 'wx', 0o600)).close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw taken(target);
    throw error;
  }
}

function taken(target: string): HostError {
  return new HostError(`"${target}" is there already.`, {
    hint: 'Name another file, or add --force to replace it.',
  });
}
