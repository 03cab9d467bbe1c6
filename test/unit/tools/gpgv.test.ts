import { describe, expect, it } from 'vitest';
import { binaryKeyring, gpgvArguments, parseStatus } from '../../../src/tools/gpgv.ts';

it('gpgv reads the given keyring and nothing of root', () => {
  const what = { signature: '/t/sig', file: '/t/archive', keyring: '/t/ring', homeDir: '/t' };
  expect(gpgvArguments(what)).toEqual([
    '--homedir=/t',
    '--status-fd=1',
    '--keyring=/t/ring',
    '--',
    '/t/sig',
    '/t/archive',
  ]);
});

const KEY = '0123456789ABCDEF0123456789ABCDEF01234567';
const GOOD = `[GNUPG:] NEWSIG
[GNUPG:] KEY_CONSIDERED ${KEY} 0
[GNUPG:] GOODSIG 89ABCDEF01234567 Maker <maker@example.com>
[GNUPG:] VALIDSIG ${KEY} 2026-11-21 1795235000 0 4 0 22 8 00 ${KEY}`;

describe('a signature', () => {
  it('is good with the key that made it', () => {
    expect(parseStatus(GOOD, 'gpgv: Good signature')).toEqual({ isGood: true, fingerprint: KEY });
  });

  it.each([
    ['of a changed file', '[GNUPG:] BADSIG 89ABCDEF01234567 Maker'],
    [
      'of another key',
      '[GNUPG:] ERRSIG 89ABCDEF01234567 22 8 00 1795235000 9 -\n[GNUPG:] NO_PUBKEY 1',
    ],
    ['of a key that has expired', GOOD.replace('GOODSIG', 'EXPKEYSIG')],
    ['of a key that was revoked', GOOD.replace('GOODSIG', 'REVKEYSIG')],
    ['that is none', '[GNUPG:] NODATA 3'],
    ['beside a bad one', `${GOOD}\n[GNUPG:] BADSIG 89ABCDEF01234567 Maker`],
    ['that only a name claims', GOOD.replaceAll(/^/gm, '> ')],
    ['of which nothing is said', ''],
  ])('%s is not', (_, status) => {
    expect(parseStatus(status, 'gpgv: no\n')).toEqual({ isGood: false, lines: ['gpgv: no'] });
  });
});

describe('a keyring', () => {
  const bytes = Buffer.from([0x99, 0x01, 0x0d, 0xff, 0x00]);
  const armored = (headers: string): string =>
    `text before\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n${headers}\n${bytes.toString('base64')}\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n`;

  it.each([
    ['binary as it is', bytes, bytes],
    ['armored', Buffer.from(armored('')), bytes],
    ['armored, with headers', Buffer.from(armored('Version: 1\nComment: x\n')), bytes],
    ['of two keys', Buffer.from(armored('') + armored('')), Buffer.concat([bytes, bytes])],
    ['with carriage returns', Buffer.from(armored('').replaceAll('\n', '\r\n')), bytes],
  ])('%s', (_, keyring, expected) => {
    expect(binaryKeyring(keyring)).toEqual(expected);
  });
});
