import { describe, expect, it } from 'vitest';
import {
  aptSources,
  keyringsOf,
  mirrorOf,
  releaseDirectories,
} from '../../../src/chroot/apt-sources.ts';
import type { DebianSource } from '../../../src/chroot/source.ts';

const bookworm: DebianSource = {
  kind: 'debian',
  distribution: 'debian',
  suite: 'bookworm',
  mirror: undefined,
  securityMirror: undefined,
  components: ['main'],
  keyring: '/usr/share/keyrings/debian-archive-keyring.gpg',
  extraSources: undefined,
  aptOptions: [],
  tool: 'auto',
};
const uris = (debian: Partial<DebianSource>, operatorMirror?: string): string[] =>
  [...aptSources({ ...bookworm, ...debian }, operatorMirror).matchAll(/^URIs: (.*)$/gm)].map(
    ([, uri]) => uri ?? '',
  );

describe('the sources of a tree', () => {
  it('are the release, its updates and its security updates', () => {
    expect(aptSources(bookworm, undefined)).toBe(`Types: deb
URIs: http://deb.debian.org/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://deb.debian.org/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
`);
  });

  it('of a rolling suite are the suite alone', () => {
    const sources = aptSources({ ...bookworm, suite: 'sid' }, undefined);
    expect(sources.match(/^Suites: .*$/gm)).toEqual(['Suites: sid']);
  });

  it('end with what the recipe adds', () => {
    const extraSources = '\nTypes: deb\nURIs: https://x.example.com/\nSuites: ./\n\n';
    expect(aptSources({ ...bookworm, extraSources }, undefined)).toMatch(
      /gpg\n\nTypes: deb\nURIs: https:\/\/x\.example\.com\/\nSuites: \.\/\n$/,
    );
  });

  it('come from the recipe, the operator, or Debian', () => {
    expect(mirrorOf({ ...bookworm, mirror: 'http://r/debian/' }, 'http://o/debian')).toBe(
      'http://r/debian',
    );
    expect(mirrorOf(bookworm, 'http://o/debian')).toBe('http://o/debian');
    expect(mirrorOf(bookworm, undefined)).toBe('http://deb.debian.org/debian');
  });

  it.each([
    ['beside the mirror', {}, 'http://o/debian/', ['http://o/debian', 'http://o/debian-security']],
    [
      "Debian's where nothing can be beside it",
      {},
      'http://o/apt',
      ['http://o/apt', 'http://deb.debian.org/debian-security'],
    ],
    [
      "the recipe's",
      { securityMirror: 'http://s/sec' },
      'http://o/debian',
      ['http://o/debian', 'http://s/sec'],
    ],
    ['none', { securityMirror: 'none' }, 'http://o/debian', ['http://o/debian']],
  ])('take security updates from: %s', (_, debian, operatorMirror, expected) => {
    expect(uris(debian, operatorMirror)).toEqual(expected);
  });
});

describe('the sources of an Ubuntu tree', () => {
  const noble: DebianSource = {
    ...bookworm,
    distribution: 'ubuntu',
    suite: 'noble',
    components: ['main', 'universe'],
    keyring: '/usr/share/keyrings/ubuntu-archive-keyring.gpg',
  };

  it("are Ubuntu's own, whatever the operator's mirror of Debian", () => {
    expect(aptSources(noble, 'http://o/debian')).toBe(`Types: deb
URIs: http://archive.ubuntu.com/ubuntu
Suites: noble noble-updates
Components: main universe
Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg

Types: deb
URIs: http://security.ubuntu.com/ubuntu
Suites: noble-security
Components: main universe
Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg
`);
  });

  it("take security updates from the recipe's mirror, which has them as suites", () => {
    const sources = aptSources({ ...noble, mirror: 'http://m/ubuntu/' }, undefined);
    expect(sources.match(/^URIs: .*$/gm)).toEqual([
      'URIs: http://m/ubuntu',
      'URIs: http://m/ubuntu',
    ]);
  });
});

describe('the keyrings that sources name', () => {
  it.each([
    ['one each', 'Signed-By: /a.gpg\n\nSigned-By: /b.gpg\n', ['/a.gpg', '/b.gpg']],
    ['the same twice', 'signed-by: /a.gpg\n\nSigned-By: /a.gpg\n', ['/a.gpg']],
    [
      'several, with commas or spaces',
      'Signed-By: /a.gpg,/b.gpg /c.gpg\n',
      ['/a.gpg', '/b.gpg', '/c.gpg'],
    ],
    ['a fingerprint', 'Signed-By: 0123456789ABCDEF0123456789ABCDEF01234567\n', []],
    ['a key', 'Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n /b64+/=\n', []],
  ])('%s', (_, sources, expected) => {
    expect(keyringsOf(sources)).toEqual(expected);
  });
});

describe('where Release files are', () => {
  it.each([
    [
      'every suite of every URI',
      'URIs: http://a/d/ http://b\nSuites: x x-updates\n',
      [
        'http://a/d/dists/x',
        'http://a/d/dists/x-updates',
        'http://b/dists/x',
        'http://b/dists/x-updates',
      ],
    ],
    ['a suite that is a path', 'URIs: http://a\nSuites: stable/\n', ['http://a/stable']],
    ['a suite that is the top', 'URIs: http://a/\nSuites: ./\n', ['http://a']],
    [
      'fields over several lines',
      'URIs:\n http://a\n http://b\nSuites: x\n',
      ['http://a/dists/x', 'http://b/dists/x'],
    ],
    ['comments', '# URIs: http://no\nURIs: http://a\nSuites: x\n', ['http://a/dists/x']],
    ['what is switched off', 'Enabled: no\nURIs: http://a\nSuites: x\n', []],
    [
      'the same twice',
      'URIs: http://a\nSuites: x\n\nURIs: http://a\nSuites: x\n',
      ['http://a/dists/x'],
    ],
  ])('%s', (_, sources, expected) => {
    expect(releaseDirectories(sources)).toEqual(expected);
  });
});
