import { describe, expect, it } from 'vitest';
import { isLocked } from '../../../src/tools/nspawn-lock.ts';

const LOCKS = `1: OFDLCK ADVISORY  WRITE -1 fe:00:887115 0 EOF
2: POSIX  ADVISORY  READ 813 00:1f:12 0 EOF
2: -> POSIX  ADVISORY  WRITE 900 00:1f:12 0 EOF
3: FLOCK  ADVISORY  WRITE 77 103:100002:5 0 EOF
`;

describe('isLocked', () => {
  it.each([
    [0xfe00n, 887115n, true],
    [0xfe00n, 887116n, false],
    [0xfe01n, 887115n, false],
    [0x1fn, 12n, true],
    [0x1fn, 1n, false],
    // Major 0x103 and minor 0x100002, as makedev(3) packs them.
    [0x100010302n, 5n, true],
  ])('device %s, inode %s → %s', (dev, ino, expected) => {
    expect(isLocked(LOCKS, { dev, ino })).toBe(expected);
  });

  it('is false where nothing is locked', () => {
    expect(isLocked('', { dev: 1n, ino: 1n })).toBe(false);
  });
});
