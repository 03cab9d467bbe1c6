import { describe, expect, it } from 'vitest';
import { aptSources, mirrorOf } from '../../../src/chroot/apt-sources.ts';
import type { DebianSource } from '../../../src/chroot/recipe.ts';

const bookworm: DebianSource = {
  suite: 'bookworm',
  mirror: undefined,
  securityMirror: undefined,
  components: ['main'],
  keyring: '/usr/share/keyrings/debian-archive-keyring.gpg',
  extraSources: undefined,
  aptOptions: [],
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
