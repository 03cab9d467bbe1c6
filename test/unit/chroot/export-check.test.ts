import { describe, expect, it } from 'vitest';
import { checkExport } from '../../../src/chroot/export-check.ts';
import { tarOf, type Member } from '../tools/tar-writer.ts';

const RECORD = {
  format: 1,
  name: 'debian-12',
  version: '20261120T223136Z-4d6d8d',
  created: '2026-11-20T22:31:36.000Z',
  digest: 'a'.repeat(64),
  bytes: 3,
  files: 2,
  versionRecord: { any: 'thing' },
  machine: null,
};
const record: Member = { path: 'export.json', content: JSON.stringify(RECORD) };
const tree: Member = { path: 'tree/', type: '5' };
const file: Member = { path: 'tree/file', content: 'abc' };
const etc: Member = { path: 'tree/etc/', type: '5' };
const long: Member = { path: 'x', extended: { path: `tree/${'y'.repeat(200)}` } };

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield await Promise.resolve(bytes);
}

const check = (...members: Member[]): ReturnType<typeof checkExport> =>
  checkExport(once(tarOf(...members)));

describe('an export', () => {
  it('tells what it is, and how much', async () => {
    const found = await check(
      ...[record, tree, etc, file, long],
      { path: 'tree/etc/again', type: '1', target: 'tree/file' },
      { path: 'tree/mtab', type: '2', target: '../proc/self/mounts' },
      { path: 'tree/again', type: '1', target: 'tree/mtab' },
      { path: 'tree/dev', type: '5' },
      { path: 'tree/dev/null', type: '3', device: [1, 3] },
      { path: 'tree/fifo', type: '6' },
      { path: 'tree/capable', extended: { 'SCHILY.xattr.security.capability': '\x01\0' } },
      { path: 'tree/acl', extended: { 'SCHILY.xattr.system.posix_acl_access': '\x01\0' } },
    );
    expect(found).toEqual({ record: RECORD, bytes: 3, entries: 13 });
  });

  it.each<[string, Member[], string]>([
    ['nothing', [], 'There is no tree in it.'],
    ['no record', [tree, file], 'It begins with "tree" and not with the file "export.json".'],
    [
      'a link for a record',
      [{ path: 'export.json', type: '2', target: '/etc/passwd' }],
      'It begins',
    ],
    ['no tree', [record], 'There is no tree in it.'],
    ['a second record', [record, tree, record], '"export.json" in it is not in its tree.'],
    ['a file for a tree', [record, { path: 'tree' }], '"tree" in it is no directory.'],
    ['a link for a tree', [record, { path: 'tree', type: '2', target: '/' }], 'is no directory.'],
    ['an absolute path', [record, tree, { path: '/etc/passwd' }], '"/etc/passwd" in it is not in'],
    ['a path that goes up', [record, tree, { path: 'tree/../x' }], 'has a path that is not plain.'],
    ['a path that goes up in the end', [record, tree, { path: 'tree/..', type: '5' }], 'not plain'],
    ['a path with a dot', [record, tree, { path: 'tree/./x' }], 'has a path that is not plain.'],
    ['a path with two slashes', [record, tree, { path: 'tree//x' }], 'a path that is not plain.'],
    [
      'a path with a NUL',
      [record, tree, { path: 'x', extended: { path: 'tree/a\0b' } }],
      '"tree/a\\x00b" in it has a path that is not plain.',
    ],
    ['another tree', [record, tree, { path: 'trees/x' }], '"trees/x" in it is not in its tree.'],
    ['a file twice', [record, tree, file, file], '"tree/file" in it is there twice.'],
    ['a directory twice', [record, tree, etc, etc], '"tree/etc" in it is there twice.'],
    ['a file in no directory', [record, tree, { path: 'tree/a/b' }], 'is in no directory of it.'],
    ['a file before its directory', [record, file, tree], 'is in no directory of it.'],
    [
      'a file below a link',
      [record, tree, { path: 'tree/l', type: '2', target: '/etc' }, { path: 'tree/l/passwd' }],
      '"tree/l/passwd" in it is in no directory of it.',
    ],
    [
      'a link replaced',
      [record, tree, { path: 'tree/l', type: '2', target: '/etc/passwd' }, { path: 'tree/l' }],
      '"tree/l" in it is there twice.',
    ],
    [
      'a name of a file outside',
      [record, tree, { path: 'tree/x', type: '1', target: '/etc/shadow' }],
      '"tree/x" in it is a name of "/etc/shadow", which is no file before it.',
    ],
    [
      'a name of the record',
      [record, tree, { path: 'tree/x', type: '1', target: 'export.json' }],
      'which is no file before it.',
    ],
    [
      'a name of a later file',
      [record, tree, { path: 'tree/x', type: '1', target: 'tree/file' }, file],
      'which is no file before it.',
    ],
    [
      'a name of a directory',
      [record, tree, etc, { path: 'tree/x', type: '1', target: 'tree/etc' }],
      'which is no file before it.',
    ],
    ['a disk', [record, tree, { path: 'tree/sda', type: '4', device: [8, 0] }], 'is a device.'],
    [
      'memory as null',
      [
        record,
        tree,
        { path: 'tree/dev', type: '5' },
        { path: 'tree/dev/null', type: '3', device: [1, 1] },
      ],
      '"tree/dev/null" in it is a device.',
    ],
    [
      'null in another place',
      [record, tree, { path: 'tree/null', type: '3', device: [1, 3] }],
      '"tree/null" in it is a device.',
    ],
    [
      "overlayfs's attributes",
      [
        record,
        tree,
        { path: 'tree/x', extended: { 'SCHILY.xattr.trusted.overlay.redirect': '/' } },
      ],
      '"tree/x" in it has "SCHILY.xattr.trusted.overlay.redirect".',
    ],
    [
      'ACLs by name',
      [record, tree, { path: 'tree/x', extended: { 'SCHILY.acl.access': 'user::rwx' } }],
      '"tree/x" in it has "SCHILY.acl.access".',
    ],
    [
      'another path for the extended header',
      [record, tree, { path: 'tree/x', extended: { 'GNU.sparse.name': '/etc/passwd' } }],
      '"/etc/passwd" in it is not in its tree.',
    ],
  ])('with %s is refused', async (_, members, sentence) => {
    await expect(check(...members)).rejects.toThrow(sentence);
  });

  it.each<[string, unknown]>([
    ['no JSON', undefined],
    ['a newer format', { ...RECORD, format: 2 }],
    ['a name that is a path', { ...RECORD, name: '../x' }],
    ['a version that is none', { ...RECORD, version: '1' }],
    ['a digest that is none', { ...RECORD, digest: 'sha256' }],
    ['no digest', { ...RECORD, digest: undefined }],
  ])('whose record has %s is refused', async (_, value) => {
    const content = value === undefined ? '{' : JSON.stringify(value);
    await expect(check({ path: 'export.json', content }, tree)).rejects.toThrow(
      '"export.json" is none that this version of nspawn-runner reads.',
    );
  });
});
