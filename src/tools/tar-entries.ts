/**
 * The members of an archive that GNU tar writes with `--format=posix`, as tar(5) and pax(1) have it.
 * Text is kept as bytes, one character each (latin1): names need not be UTF-8.
 */
import { SettingsError } from '../errors.ts';

const BLOCK = 512;
/** GNU tar's own go to some hundred bytes; attributes may have 64 KiB each, xattr(7). */
const MAX_EXTENDED_BYTES = 4 * 1024 * 1024;
const ATTRIBUTE = 'SCHILY.xattr.';

const TYPES = {
  '0': 'file',
  '\0': 'file',
  '1': 'hard link',
  '2': 'symbolic link',
  '3': 'character device',
  '4': 'block device',
  '5': 'directory',
  '6': 'FIFO',
} as const;

export type TarEntryType = (typeof TYPES)[keyof typeof TYPES];

export interface TarEntry {
  /** As it is in the archive, less a directory's last slash. */
  readonly path: string;
  readonly type: TarEntryType;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of content in the archive; a sparse file has more. */
  readonly size: number;
  /** Seconds since 1970, with as many decimals as the archive has. */
  readonly mtime: string;
  /** Of a link. */
  readonly target: string;
  /** `MAJOR:MINOR` of a device. */
  readonly device: string;
  readonly attributes: ReadonlyMap<string, string>;
  /** Keys of the extended header, those of attributes too. */
  readonly keys: readonly string[];
}

/** Called with the content of one member, in parts. */
export type ContentSink = (part: Buffer) => void;

/**
 * Reads an archive to its end; `visit` gets every member, and what it returns gets the content.
 * @throws SettingsError when the bytes are no such archive; whatever `visit` throws.
 */
export async function readTar(
  input: AsyncIterable<Buffer>,
  visit: (entry: TarEntry) => ContentSink | undefined,
): Promise<void> {
  const source = byteSource(input);
  let extended: ReadonlyMap<string, string> = new Map();
  for (;;) {
    const header = await source.exactly(BLOCK);
    if (header.every((byte) => byte === 0)) break;
    const fields = readHeader(header);
    if (fields.type === 'x') {
      if (fields.size > MAX_EXTENDED_BYTES) throw damaged('an extended header is too long');
      if (extended.size > 0) throw damaged('a member has two extended headers');
      extended = parseExtended(await source.exactly(fields.size));
      await source.exactly(padding(fields.size));
      continue;
    }
    const entry = entryOf(fields, extended);
    extended = new Map();
    const sink = visit(entry);
    for (let left = entry.size; left > 0;) {
      const part = await source.atMost(left);
      sink?.(part);
      left -= part.length;
    }
    await source.exactly(padding(entry.size));
  }
  await expectZeros(source);
}

/** Behind the end is what fills the last record, and nothing else. */
async function expectZeros(source: ByteSource): Promise<void> {
  for (;;) {
    const part = await source.rest();
    if (part === undefined) return;
    if (part.some((byte) => byte !== 0)) throw damaged('something follows its end');
  }
}

interface ByteSource {
  readonly exactly: (size: number) => Promise<Buffer>;
  /** At least one byte. */
  readonly atMost: (size: number) => Promise<Buffer>;
  readonly rest: () => Promise<Buffer | undefined>;
}

function byteSource(input: AsyncIterable<Buffer>): ByteSource {
  const iterator = input[Symbol.asyncIterator]();
  let held: Buffer = Buffer.alloc(0);
  const rest = async (): Promise<Buffer | undefined> => {
    const part = held;
    held = Buffer.alloc(0);
    if (part.length > 0) return part;
    const next = await iterator.next();
    return next.done === true ? undefined : next.value;
  };
  const atMost = async (size: number): Promise<Buffer> => {
    const part = await rest();
    if (part === undefined) throw damaged('it ends too early');
    held = part.subarray(size);
    return part.subarray(0, size);
  };
  const exactly = async (size: number): Promise<Buffer> => {
    const parts: Buffer[] = [];
    for (let left = size; left > 0;) {
      const part = await atMost(left);
      parts.push(part);
      left -= part.length;
    }
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
  };
  return { exactly, atMost, rest };
}

interface Fields extends Pick<TarEntry, 'path' | 'mode' | 'uid' | 'gid' | 'size' | 'target'> {
  readonly type: string;
  readonly mtime: number;
  readonly device: string;
}

function readHeader(header: Buffer): Fields {
  const text = (from: number, to: number): string =>
    header.toString('latin1', from, to).replace(/\0.*$/s, '');
  const number = (from: number, to: number): number => {
    const digits = text(from, to).trim();
    if (!/^[0-7]*$/.test(digits)) throw damaged('a number in a header is none');
    return digits === '' ? 0 : parseInt(digits, 8);
  };
  const sum = header.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 32 : byte), 0);
  if (sum !== number(148, 156)) throw damaged('the checksum of a header is wrong');
  if (header.toString('latin1', 257, 265) !== 'ustar\x0000') throw damaged('it is not of POSIX');
  const prefix = text(345, 500);
  return {
    path: prefix === '' ? text(0, 100) : `${prefix}/${text(0, 100)}`,
    mode: number(100, 108),
    uid: number(108, 116),
    gid: number(116, 124),
    size: number(124, 136),
    mtime: number(136, 148),
    type: header.toString('latin1', 156, 157),
    target: text(157, 257),
    device: `${number(329, 337)}:${number(337, 345)}`,
  };
}

/** `LENGTH KEY=VALUE\n`, where the length counts all of it. */
export function parseExtended(data: Buffer): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  const text = data.toString('latin1');
  for (let at = 0; at < text.length;) {
    const digits = /^[1-9]\d{0,6} /.exec(text.slice(at, at + 8))?.[0];
    const length = digits === undefined ? 0 : parseInt(digits, 10);
    const record = text.slice(at + (digits?.length ?? 0), at + length);
    const equals = record.indexOf('=');
    if (at + length > text.length || equals < 1 || !record.endsWith('\n')) {
      throw damaged('an extended header is malformed');
    }
    values.set(record.slice(0, equals), record.slice(equals + 1, -1));
    at += length;
  }
  return values;
}

function entryOf(fields: Fields, extended: ReadonlyMap<string, string>): TarEntry {
  if (!isType(fields.type)) {
    throw damaged(`it has a member of type "${escapeName(fields.type)}"`);
  }
  const type = TYPES[fields.type];
  const number = (key: string, otherwise: number): number => {
    const text = extended.get(key);
    if (text === undefined) return otherwise;
    if (!/^\d{1,15}$/.test(text)) throw damaged(`"${key}" of a member is no number`);
    return Number(text);
  };
  const path = extended.get('GNU.sparse.name') ?? extended.get('path') ?? fields.path;
  const attributes = [...extended]
    .filter(([key]) => key.startsWith(ATTRIBUTE))
    .map(([key, value]) => [key.slice(ATTRIBUTE.length), value] as const);
  const size = number('size', fields.size);
  if (type !== 'file' && size !== 0) throw damaged(`a ${type} has content`);
  return {
    path: type === 'directory' ? path.replace(/\/$/, '') : path,
    type,
    mode: fields.mode,
    uid: number('uid', fields.uid),
    gid: number('gid', fields.gid),
    size,
    mtime: extended.get('mtime') ?? String(fields.mtime),
    target: extended.get('linkpath') ?? fields.target,
    device: fields.device,
    attributes: new Map(attributes),
    keys: [...extended.keys()],
  };
}

function isType(type: string): type is keyof typeof TYPES {
  return Object.hasOwn(TYPES, type);
}

/** A name for a line of text: whatever is not printable ASCII, and the backslash, as `\xHH`. */
export function escapeName(bytes: string): string {
  return bytes.replaceAll(
    /[^\x20-\x5b\x5d-\x7e]/g,
    (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

function padding(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

function damaged(what: string): SettingsError {
  return new SettingsError(`The archive is damaged: ${what}.`);
}
