/** An export of another host, unpacked to the byte or not at all. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandError, HostError, SettingsError } from '../errors.ts';
import type { ConfinedRun } from '../tools/confined.ts';
import { unpackTree } from '../tools/tar-tree.ts';
import { decompressedBytes, requireZstd } from '../tools/zstd.ts';
import { checkExport, type CheckedExport } from './export-check.ts';
import { EXPORT_TREE, type ExportRecord } from './export-record.ts';
import { checkSeal } from './export-seal.ts';
import { digestTree } from './tree-digest.ts';
import { freeSpace, makeTreeDirectory, removeTreeDirectory } from './tree-storage.ts';

export interface ImportRun extends ConfinedRun {
  /** Names the step for people. */
  readonly step: (text: string) => void;
  /** What the whole file must have, as sha256sum(1) has it; any when undefined. */
  readonly sha256?: string | undefined;
}

/**
 * Unpacks an export as `building/tree`.
 * @throws SettingsError that says in what the file is no good, HostError when there is no room; both
 *   leave nothing.
 */
export async function unpackExport(
  file: string,
  building: string,
  how: ImportRun,
): Promise<ExportRecord> {
  await requireZstd();
  const before = await identityOf(file);
  how.step('checking the export');
  expectSum(file, (await checkSeal(file)).sha256, how.sha256);
  const checked = await readMembers(file, how.signal);
  await expectRoom(checked, building);
  const tree = join(building, EXPORT_TREE);
  await makeTreeDirectory(tree);
  try {
    how.step('unpacking the tree');
    await unpackTree(file, { directory: building, name: EXPORT_TREE }, how);
    how.step('comparing the tree');
    expectDigest(file, checked.record, await digestTree(tree, how.signal));
    if ((await identityOf(file)) !== before) {
      throw new SettingsError(`"${file}" was changed while it was read.`);
    }
  } catch (error) {
    await removeTreeDirectory(tree);
    throw error;
  }
  return checked.record;
}

/** What changes with every write and every rename: inode(7). */
async function identityOf(file: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
  } catch (error) {
    throw new SettingsError(`"${file}" cannot be read.`, {
      details: [error instanceof Error ? error.message : String(error)],
      cause: error,
    });
  }
}

async function readMembers(file: string, signal: AbortSignal): Promise<CheckedExport> {
  try {
    return await checkExport(decompressedBytes(file, signal));
  } catch (error) {
    if (error instanceof SettingsError)
      throw refused(file, [error.message, ...error.details], error);
    if (error instanceof CommandError) {
      throw refused(file, [error.message, error.command.stderrTail], error);
    }
    throw error;
  }
}

function expectSum(file: string, found: string, expected: string | undefined): void {
  if (expected === undefined || found === expected.toLowerCase()) return;
  throw new SettingsError(`"${file}" is not the file that --sha256 names.`, {
    details: [`Expected ${expected.toLowerCase()}.`, `Found    ${found}.`],
    hint: 'Copy it once more, or correct the number.',
  });
}

async function expectRoom({ bytes, entries }: CheckedExport, place: string): Promise<void> {
  const { freeBytes, freeInodes } = await freeSpace(place);
  if (bytes <= freeBytes && entries <= freeInodes) return;
  throw new HostError(`There is no room for the tree in "${place}".`, {
    details: [
      `It has ${bytes} bytes and ${entries} entries.`,
      `Free are ${freeBytes} bytes and ${freeInodes} inodes.`,
    ],
    hint: 'Make room, then try again.',
  });
}

function expectDigest(file: string, record: ExportRecord, digest: string): void {
  if (digest === record.digest) return;
  throw refused(file, [
    `The tree in it has the digest "${digest}".`,
    `Its "export.json" says "${record.digest}".`,
  ]);
}

function refused(file: string, details: readonly string[], cause?: unknown): SettingsError {
  return new SettingsError(`"${file}" is not imported.`, {
    details: details.filter((line) => line !== ''),
    hint: 'Copy it once more from where it was made, or export it again.',
    cause,
  });
}
