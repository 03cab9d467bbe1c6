import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { identifyProcess } from '../../../src/process-identity.ts';
import { hasEndedAttempt } from '../../../src/machine/temp-dir.ts';

const root = mkdtempSync(join(tmpdir(), 'ended-'));
const there = join(root, 'custom-executor1');
const gone = join(root, 'custom-executor2');
mkdirSync(there);
afterAll(() => rmSync(root, { recursive: true }));

const self = identifyProcess(process.pid);
const later = self && { ...self, startTime: `${self.startTime}1` };

describe('a Runner has ended an attempt', () => {
  it.each([
    ['whose directory is gone', self, gone, true],
    ['not while it is there', self, there, false],
    [
      'not when nothing is there, such as a mount that is missing',
      self,
      `${gone}/custom-executor3`,
      false,
    ],
    ['not with a TMPDIR that is no Runner’s', self, join(root, 'tmp'), false],
    ['not without a TMPDIR', self, undefined, false],
    ['not for another process of its number', later, gone, false],
    ['not as an unknown one', undefined, gone, false],
  ])('%s', (_, runner, tmpDir, is) => {
    expect(hasEndedAttempt(runner, tmpDir)).toBe(is);
  });
});
