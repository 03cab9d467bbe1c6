import { expect, it } from 'vitest';
import { attributeArguments, copyArguments } from '../../../src/tools/cp.ts';
import { packArguments, unpackArguments } from '../../../src/tools/tar-tree.ts';

it('a tree is copied whole, onto a directory that is there', () => {
  expect(copyArguments('/a/-rf', '/b')).toEqual([
    ...['--archive', '--preserve=xattr', '--reflink=auto', '--no-target-directory'],
    ...['--', '/a/-rf', '/b'],
  ]);
});

it('attributes are copied by names of a file', () => {
  expect(attributeArguments({ namesFile: '/t/names', from: '/a', to: '/b' })).toEqual([
    ...['--chdir=/a', 'xargs', '--null', '--no-run-if-empty', '--arg-file=/t/names', 'cp'],
    ...['--archive', '--preserve=xattr', '--attributes-only', '--no-preserve=links'],
    ...['--parents', '--target-directory=/b', '--'],
  ]);
});

const attributes = [
  '--xattrs',
  '--numeric-owner',
  '--xattrs-include=user.*',
  '--xattrs-include=security.capability',
  '--xattrs-include=system.posix_acl_*',
];

it('an archive has names in order, numbers for owners, and nothing of this process', () => {
  const parts = [
    { directory: '/tmp/x', name: 'export.json' },
    { directory: '/v', name: 'tree' },
  ];
  expect(packArguments('/srv/a:b.tar.zst', parts)).toEqual([
    ...['--create', '--force-local', '--file=/srv/a:b.tar.zst'],
    '--use-compress-program=zstd --threads=0 --quiet',
    ...['--sparse', '--format=posix', '--sort=name'],
    '--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime',
    ...attributes,
    ...['--directory=/tmp/x', 'export.json', '--directory=/v', 'tree'],
  ]);
});

it('one member of it is unpacked', () => {
  const part = { directory: '/b', name: 'tree' };
  expect(unpackArguments('/srv/a.tar.zst', part)).toEqual([
    ...['--extract', '--force-local', '--file=/srv/a.tar.zst'],
    '--use-compress-program=zstd --quiet',
    ...['--same-owner', '--same-permissions', '--delay-directory-restore'],
    ...attributes,
    ...['--directory=/b', '--', 'tree'],
  ]);
});
