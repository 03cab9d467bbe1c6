import { describe, expect, it } from 'vitest';
import {
  escapeName,
  parseExtended,
  readTar,
  type TarEntry,
} from '../../../src/tools/tar-entries.ts';
import { fuzz } from '../fuzz.ts';
import { extendedRecord, tarOf, type Member } from './tar-writer.ts';

/** In parts of any size, as pipes give them. */
async function* inParts(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) {
    yield await Promise.resolve(bytes.subarray(at, at + size));
  }
}

interface Read {
  readonly entry: TarEntry;
  readonly content: string;
}

async function read(archive: Buffer, partBytes = 10_240): Promise<readonly Read[]> {
  const found: { entry: TarEntry; content: string }[] = [];
  await readTar(inParts(archive, partBytes), (entry) => {
    const member = { entry, content: '' };
    found.push(member);
    return (part) => {
      member.content += part.toString('latin1');
    };
  });
  return found;
}

const MEMBERS: readonly Member[] = [
  { path: './', type: '5' },
  { path: './file', content: 'x'.repeat(700), mode: 0o4755 },
  { path: './empty' },
  { path: './again', type: '1', target: './file' },
  { path: './link', type: '2', target: '/etc/passwd' },
  { path: './null', type: '3', device: [1, 3] },
  { path: './fifo', type: '6' },
  {
    path: 'short',
    content: 'abc',
    extended: {
      path: `./${'l\xff\n'.repeat(80)}`,
      uid: '3000000000',
      mtime: '12.5',
      'SCHILY.xattr.user.a': '\0\n=',
    },
  },
  { path: './last', content: 'z' },
];

describe('an archive', () => {
  it.each([1, 7, 512, 10_240])('is read in parts of %i bytes', async (size) => {
    const found = await read(tarOf(...MEMBERS), size);
    expect(found.map(({ entry }) => [entry.path, entry.type, entry.target])).toEqual([
      ['.', 'directory', ''],
      ['./file', 'file', ''],
      ['./empty', 'file', ''],
      ['./again', 'hard link', './file'],
      ['./link', 'symbolic link', '/etc/passwd'],
      ['./null', 'character device', ''],
      ['./fifo', 'FIFO', ''],
      [`./${'l\xff\n'.repeat(80)}`, 'file', ''],
      ['./last', 'file', ''],
    ]);
    expect(found.map(({ content }) => content.length)).toEqual([0, 700, 0, 0, 0, 0, 0, 3, 1]);
    expect(found[1]?.entry).toMatchObject({ mode: 0o4755, uid: 0, size: 700, mtime: '1700000000' });
    expect(found[5]?.entry.device).toBe('1:3');
    expect(found[7]?.entry).toMatchObject({ uid: 3_000_000_000, mtime: '12.5' });
    expect(found[7]?.entry.attributes).toEqual(new Map([['user.a', '\0\n=']]));
    // An extended header is of one member.
    expect(found[8]?.entry.keys).toEqual([]);
  });

  it.each([
    ['is empty', Buffer.alloc(0), 'it ends too early'],
    ['is cut off', tarOf(...MEMBERS).subarray(0, 2048), 'it ends too early'],
    ['has no end', tarOf(...MEMBERS).subarray(0, -1024), 'it ends too early'],
    ['goes on', Buffer.concat([tarOf(), tarOf({ path: 'x' })]), 'something follows its end'],
    ['is none', Buffer.alloc(1024, 'x'), 'a number in a header is none'],
    ['has another byte', withByte(tarOf(...MEMBERS), 513, 1), 'the checksum of a header is wrong'],
    ['has members of GNU', tarOf({ path: 'x', type: 'L' }), 'it has a member of type "L"'],
    ['says for all', tarOf({ path: 'x', type: 'g' }), 'it has a member of type "g"'],
    ['has a link of bytes', tarOf({ path: 'x', type: '2', content: 'x' }), 'a symbolic link has'],
    [
      'says a thing twice',
      tarOf({ path: 'x', type: 'x', content: '6 a=b\n', extended: { a: 'b' } }),
      'a member has two extended headers',
    ],
    ['has a size of words', tarOf({ path: 'x', extended: { size: '-1' } }), '"size" of a member'],
  ])('that %s is refused', async (_, archive, sentence) => {
    await expect(read(archive)).rejects.toThrow(`The archive is damaged: ${sentence}`);
  });

  it('with a changed byte is refused or read as another, and never worse', async () => {
    const random = fuzz('tar entries');
    const good = tarOf(...MEMBERS);
    for (let tried = 0; tried < 300; tried++) {
      const changed = withByte(good, random.below(good.length), 1 + random.below(255));
      await read(changed).catch((error: unknown) => {
        expect(String(error)).toContain('The archive is damaged');
      });
    }
  });
});

function withByte(bytes: Buffer, at: number, difference: number): Buffer {
  const changed = Buffer.from(bytes);
  changed[at] = ((changed[at] ?? 0) + difference) % 256;
  return changed;
}

describe('an extended header', () => {
  it.each([
    [{ a: 'b' }],
    [{ a: '' }],
    [{ 'long key with blanks': 'x'.repeat(997), b: '\n\n=' }],
    [{ 'at-99': 'x'.repeat(90), 'at-100': 'x'.repeat(92) }],
  ])('%#', (values) => {
    const text = Object.entries(values).map(extendedRecord).join('');
    expect(parseExtended(Buffer.from(text))).toEqual(new Map(Object.entries(values)));
  });

  it.each(['x', '5 a=b', '0 a=b\n', '999 a=b\n', '6  a=b\n', '6 =bc\n', '6 abc\n', ' 6 a=b\n'])(
    '%j is refused',
    (text) => {
      expect(() => parseExtended(Buffer.from(text))).toThrow('an extended header is malformed');
    },
  );
});

it.each([
  ['plain-name_1.0~', 'plain-name_1.0~'],
  ['a\nb\\', 'a\\x0ab\\x5c'],
  ['\xff\x00', '\\xff\\x00'],
])('the name %j is written %s', (name, text) => {
  expect(escapeName(name)).toBe(text);
});
