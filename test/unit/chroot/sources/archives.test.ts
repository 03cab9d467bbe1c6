import { describe, expect, it } from 'vitest';
import { compressionOf } from '../../../../src/chroot/sources/compression.ts';
import { isUrl, withoutCredentials } from '../../../../src/chroot/sources/fetched-file.ts';
import { environmentOf } from '../../../../src/chroot/sources/oci-layout.ts';

it.each([
  ['http://user:secret@host/a.tar', 'http://host/a.tar'],
  ['https://host/a@b.tar', 'https://host/a@b.tar'],
  ['http://us/er@host/', 'http://us/er@host/'],
  ['/srv/a@b.tar', '/srv/a@b.tar'],
])('people see %s as %s', (location, expected) => {
  expect(withoutCredentials(location)).toBe(expected);
});

it.each([
  ['https://host/a.tar', true],
  ['file:///a.tar', true],
  ['/srv/a.tar', false],
  ['/srv/a://b.tar', false],
])('%s is a URL: %s', (location, expected) => {
  expect(isUrl(location)).toBe(expected);
});

it.each([
  ['gzip', '1f8b08000000'],
  ['xz', 'fd377a585a00'],
  ['zstd', '28b52ffd0400'],
  ['bzip2', '425a68393141'],
  [undefined, '2e2f00000000'],
  [undefined, '1f'],
])('%s is known by its first bytes', (program, bytes) => {
  expect(compressionOf(Buffer.from(bytes, 'hex'))?.program).toBe(program);
});

describe('the environment of an image', () => {
  it.each([
    ['variables', ['A=1', 'B=x=y', 'C='], { A: '1', B: 'x=y', C: '' }],
    ['the last of two', ['A=1', 'A=2'], { A: '2' }],
    ['not what systemd cannot have', ['A B=1', '=1', 'A', 'B=x\ny', '1A=1', 'C=\0'], {}],
  ])('has %s', (_, entries, expected) => {
    expect(environmentOf(entries)).toEqual(expected);
  });
});
