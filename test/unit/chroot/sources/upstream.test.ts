import { describe, expect, it } from 'vitest';
import { packagesState } from '../../../../src/chroot/sources/debian-upstream.ts';
import { metalinkState } from '../../../../src/chroot/sources/fedora-upstream.ts';

const A = 'a'.repeat(64);
const B = 'b'.repeat(64);

describe('a Release file says something new', () => {
  const release = (
    more: Partial<Record<'date' | 'packages' | 'sources' | 'signature', string>>,
  ): string => `Origin: Debian
Date: ${more.date ?? 'Sat, 11 Jul 2026 10:16:37 UTC'}
MD5Sum:
 0ed6d4c8891eb86358b94bb35d9e4da4  1484322 main/binary-amd64/Packages
SHA256:
 ${more.packages ?? A}  1484322 main/binary-amd64/Packages
 ${more.sources ?? A}  14 main/source/Sources.gz
-----BEGIN PGP SIGNATURE-----
${more.signature ?? 'x'}
`;
  const before = packagesState(release({}));

  it.each([
    ['a package list that changed', { packages: B }, true],
    ['a new date and a new signature', { date: 'now', signature: 'y' }, false],
    ['source packages, which no tree has', { sources: B }, false],
  ])('%s', (_, more, isNew) => {
    expect(packagesState(release(more)) !== before).toBe(isNew);
  });

  it('one without package lists counts as a whole', () => {
    expect(packagesState('Date: a\n')).not.toBe(packagesState('Date: b\n'));
  });
});

describe('a metalink says something new', () => {
  const metalink = (sha256: string, more = ''): string => `<metalink><files><file name="repomd.xml">
   ${more}
   <verification>
    <hash type="md5">0</hash>
    <hash type="sha256">${sha256}</hash>
   </verification>`;
  const alternates = `<mm0:alternates><mm0:alternate><verification><hash type="sha256">${B}</hash></verification></mm0:alternate></mm0:alternates>`;

  it.each([
    ['only with the newest checksum', metalink(A), A],
    ['not with older ones, wherever they stand', metalink(A, alternates), A],
  ])('%s', (_, text, expected) => {
    expect(metalinkState(text)).toBe(expected);
  });

  it('one without a checksum counts as a whole', () => {
    expect(metalinkState('<a/>')).not.toBe(metalinkState('<b/>'));
  });
});
