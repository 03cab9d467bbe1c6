import { describe, expect, it } from 'vitest';
import { verdictFailure, type Verdict } from '../../../src/commands/chroot-verify.ts';

const verdict = (name: string, found: Partial<Verdict> = {}): Verdict => ({
  ...{ name, version: '20261120T220713Z-99cd6a', faults: [], obstacles: [], bootSec: 0.4 },
  ...found,
});
const BAD = { faults: ['No machine boots.'] };
const BUSY = { obstacles: ['It is being built.'] };

describe('what chroot verify fails with', () => {
  it.each<[string, readonly Verdict[], string | undefined]>([
    ['nothing when all are good', [verdict('a'), verdict('b')], undefined],
    ['nothing when there are none', [], undefined],
    [
      'names of those that jobs cannot use',
      [verdict('a', BAD), verdict('b'), verdict('c', BAD)],
      'Jobs cannot use 2 of 3: a, c.',
    ],
    [
      'names of those that could not be verified',
      [verdict('a'), verdict('b', BUSY)],
      'Not verified: 1 of 2: b.',
    ],
    [
      'both, and each once',
      [verdict('a', BUSY), verdict('b', { ...BAD, ...BUSY })],
      'Jobs cannot use 1 of 2: b. Not verified: 1 of 2: a.',
    ],
  ])('%s', (_, verdicts, message) => {
    expect(verdictFailure(verdicts)?.message).toBe(message);
  });
});
