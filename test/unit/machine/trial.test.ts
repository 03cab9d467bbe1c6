import { describe, expect, it } from 'vitest';
import type { ScriptOutcome } from '../../../src/machine/outcome.ts';
import { builtInChecks, checkSentence } from '../../../src/machine/trial-check.ts';
import { stateSentence } from '../../../src/machine/trial-state.ts';

describe('checkSentence', () => {
  it.each<[ScriptOutcome, string | undefined]>([
    [{ kind: 'exited', status: 0, oomKills: 0 }, undefined],
    [{ kind: 'exited', status: 127, oomKills: 0 }, 'Check "c" ended with exit status 127.'],
    [
      { kind: 'exited', status: 137, oomKills: 1 },
      'Check "c" ended with exit status 137. Exit status 137: a shell says so of a command that was killed by SIGKILL. Out of memory: the kernel killed a process of this job; the job may use 1 GiB.',
    ],
    [{ kind: 'stopped' }, 'Check "c" did not end within 120 s.'],
    [
      { kind: 'not-started', facts: ['No such file.'] },
      'Check "c" did not pass. The script could not be started in machine "m". No such file.',
    ],
    [
      { kind: 'machine-gone', end: { how: 'killed', facts: [] } },
      'Check "c" did not pass. Machine "m" is gone: it was ended from outside the job.',
    ],
  ])('of %j', (outcome, sentence) => {
    expect(checkSentence('c', outcome, { machine: 'm', memoryLimit: '1 GiB' })).toBe(sentence);
  });
});

describe('builtInChecks', () => {
  it('looks for gitlab-runner where the host lends one', () => {
    const names = (hasRunner: boolean): string[] => builtInChecks(hasRunner).map((c) => c.name);
    expect(names(false)).toEqual(['shell', 'git', 'dbus']);
    expect(names(true)).toEqual(['shell', 'git', 'dbus', 'gitlab-runner']);
  });
});

describe('stateSentence', () => {
  it.each([
    [
      'degraded',
      ['a.service', 'b.mount'],
      'The machine is "degraded": "a.service", "b.mount" failed.',
    ],
    ['maintenance', [], 'The machine is "maintenance" and not "running".'],
    ['starting', [], 'The machine is still "starting" 30 s after it was ready.'],
  ])('%s', (state, units, sentence) => {
    expect(stateSentence(state, units)).toBe(sentence);
  });
});
