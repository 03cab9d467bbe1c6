import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { isOfOtherAttempt } from '../../../src/machine/other-attempt.ts';
import { identifyProcess } from '../../../src/process-identity.ts';

const root = mkdtempSync(join(tmpdir(), 'other-'));
const theirs = join(root, 'custom-executor1');
const ours = join(root, 'custom-executor2');
const gone = join(root, 'custom-executor3');
const shared = join(root, 'tmp');
for (const directory of [theirs, ours, shared]) mkdirSync(directory);
afterAll(() => rmSync(root, { recursive: true }));

const self = identifyProcess(process.pid);
const later = self && { ...self, startTime: `${self.startTime}1` };

describe('a machine is of another attempt', () => {
  it.each([
    ['whose Runner lives with its directory', theirs, self, ours, true],
    ['not of our own', ours, self, ours, false],
    ['not when its directory is gone, as before a second try', gone, self, ours, false],
    ['not when its Runner is gone', theirs, later, ours, false],
    ['not when its Runner is unknown', theirs, undefined, ours, false],
    ['not when its TMPDIR is no Runner’s', shared, self, ours, false],
    ['not when it has no TMPDIR', undefined, self, ours, false],
    ['not for a person', theirs, self, undefined, false],
    ['not for a person with a TMPDIR', theirs, self, shared, false],
  ])('%s', (_, tmpDir, runnerProcess, own, is) => {
    expect(isOfOtherAttempt({ tmpDir, runnerProcess }, own)).toBe(is);
  });
});
