/**
 * Whether an export may be unpacked, told from its members before one of them is written. It need not
 * come from us: whoever made it may want to write outside of the tree, or into a machine's host.
 */
import { SettingsError } from '../errors.ts';
import { KEPT_ATTRIBUTES } from '../tools/tar-tree.ts';
import { escapeName, readTar, type ContentSink, type TarEntry } from '../tools/tar-entries.ts';
import {
  EXPORT_RECORD,
  EXPORT_TREE,
  parseExportRecord,
  type ExportRecord,
} from './export-record.ts';
import { isStandardDevice } from './standard-devices.ts';

const MAX_RECORD_BYTES = 4 * 1024 * 1024;
const ATTRIBUTE = 'SCHILY.xattr.';
/** Of extended headers; any other could mean something to tar that is not looked at here. */
const KEYS = new Set(['path', 'linkpath', 'size', 'uid', 'gid', 'mtime']);

export interface CheckedExport {
  readonly record: ExportRecord;
  /** Content of all files, in the archive. */
  readonly bytes: number;
  readonly entries: number;
}

/**
 * Reads an archive to its end.
 * @throws SettingsError for the first member that is not as an export has it.
 */
export async function checkExport(archive: AsyncIterable<Buffer>): Promise<CheckedExport> {
  const record: Buffer[] = [];
  const seen = new Map<string, TarEntry>();
  let [bytes, entries] = [0, 0];
  await readTar(archive, (entry): ContentSink | undefined => {
    entries += 1;
    if (entries === 1) {
      checkRecordEntry(entry);
      return (part) => record.push(part);
    }
    const fault = entryFault(entry, seen);
    if (fault !== undefined) {
      throw new SettingsError(`"${escapeName(entry.path)}" in it ${fault}.`);
    }
    seen.set(entry.path, entry);
    bytes += entry.size;
    return undefined;
  });
  if (!seen.has(EXPORT_TREE)) throw new SettingsError('There is no tree in it.');
  const text = Buffer.concat(record).toString();
  return { record: parseExportRecord(text), bytes, entries };
}

function checkRecordEntry({ path, type, size }: TarEntry): void {
  if (path === EXPORT_RECORD && type === 'file' && size <= MAX_RECORD_BYTES) return;
  throw new SettingsError(
    `It begins with "${escapeName(path)}" and not with the file "${EXPORT_RECORD}".`,
  );
}

/** What is wrong with a member of the tree, given those before it; a part of a sentence. */
export function entryFault(
  entry: TarEntry,
  seen: ReadonlyMap<string, TarEntry>,
): string | undefined {
  const { path, type, target } = entry;
  const parts = path.split('/');
  if (parts[0] !== EXPORT_TREE) return 'is not in its tree';
  if (parts.some((part) => part === '' || part === '.' || part === '..')) {
    return 'has a path that is not plain';
  }
  if (path.includes('\0')) return 'has a path that is not plain';
  if (seen.has(path)) return 'is there twice';
  // Then nothing is written through a link.
  if (path === EXPORT_TREE) {
    if (type !== 'directory') return 'is no directory';
  } else if (seen.get(parts.slice(0, -1).join('/'))?.type !== 'directory') {
    return 'is in no directory of it';
  }
  if (type === 'hard link' && !isLinkable(seen.get(target))) {
    return `is a name of "${escapeName(target)}", which is no file before it`;
  }
  if (type.endsWith('device') && !isPermittedDevice(entry)) return 'is a device';
  return keyFault(entry.keys);
}

function isLinkable(target: TarEntry | undefined): boolean {
  return target !== undefined && target.type !== 'directory' && target.type !== 'hard link';
}

function isPermittedDevice({ path, type, device }: TarEntry): boolean {
  return type === 'character device' && isStandardDevice(path.slice(EXPORT_TREE.length), device);
}

function keyFault(keys: readonly string[]): string | undefined {
  const strange = keys.find((key) => !isKnownKey(key));
  return strange === undefined ? undefined : `has "${escapeName(strange)}"`;
}

function isKnownKey(key: string): boolean {
  if (KEYS.has(key) || key.startsWith('GNU.sparse.')) return true;
  if (!key.startsWith(ATTRIBUTE)) return false;
  const name = key.slice(ATTRIBUTE.length);
  return KEPT_ATTRIBUTES.some((pattern) =>
    pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern,
  );
}
