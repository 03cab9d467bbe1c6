import { describe, expect, it } from 'vitest';
import { judge, type ScriptOutcome, type Verdict } from '../../../src/machine/outcome.ts';

const context = { machine: 'nsr1-aaaaaaaa-1', memoryLimit: '50 MiB' };
const exited = (status: number, oomKills = 0): ScriptOutcome => ({
  kind: 'exited',
  status,
  oomKills,
});

const table: readonly (readonly [ScriptOutcome, Verdict])[] = [
  [exited(0), { verdict: 'success', lines: [] }],
  [exited(1), { verdict: 'build-failure', exitCode: 1, lines: [] }],
  [exited(2), { verdict: 'build-failure', exitCode: 2, lines: [] }],
  [exited(255), { verdict: 'build-failure', exitCode: 255, lines: [] }],
  [
    exited(137, 1),
    {
      verdict: 'build-failure',
      exitCode: 137,
      lines: [
        'Exit status 137: a shell says so of a command that was killed by SIGKILL.',
        'Out of memory: the kernel killed a process of this job; the job may use 50 MiB.',
      ],
    },
  ],
  [
    { kind: 'frame-killed', signal: 9, oomKills: 0 },
    {
      verdict: 'build-failure',
      exitCode: 137,
      lines: [
        'The shell that runs the script was killed by signal 9 from inside the machine; what the script left running was killed with it.',
      ],
    },
  ],
  [
    { kind: 'machine-gone', end: { how: 'rebooted' } },
    {
      verdict: 'build-failure',
      exitCode: 1,
      lines: [
        'Machine "nsr1-aaaaaaaa-1" is gone: it rebooted while the script ran.',
        'A job has one boot of its machine; take shutdown and reboot out of the script.',
      ],
    },
  ],
  [
    { kind: 'machine-gone', end: { how: 'powered-off' }, beforeScript: true },
    {
      verdict: 'build-failure',
      exitCode: 1,
      lines: ['Machine "nsr1-aaaaaaaa-1" is gone: it powered off before this script.'],
    },
  ],
  [
    { kind: 'machine-gone', end: { how: 'killed', facts: ['unit: Failed.'] } },
    {
      verdict: 'system-failure',
      lines: [
        'Machine "nsr1-aaaaaaaa-1" is gone: it was ended from outside the job.',
        'unit: Failed.',
      ],
    },
  ],
  [
    { kind: 'machine-gone', end: { how: 'deadline' } },
    {
      verdict: 'system-failure',
      lines: [
        'Machine "nsr1-aaaaaaaa-1" is gone: the job\'s deadline has passed and systemd ended it.',
      ],
    },
  ],
  [
    { kind: 'not-started', facts: ['It said: no bus'] },
    {
      verdict: 'system-failure',
      lines: ['The script could not be started in machine "nsr1-aaaaaaaa-1".', 'It said: no bus'],
    },
  ],
  [
    { kind: 'untold', facts: [] },
    {
      verdict: 'system-failure',
      lines: ['Machine "nsr1-aaaaaaaa-1" did not tell how the script ended.'],
    },
  ],
  [
    { kind: 'stopped' },
    { verdict: 'system-failure', lines: ['The script was stopped by GitLab Runner.'] },
  ],
];

describe('judge', () => {
  it.each(table)('%j', (outcome, verdict) => {
    expect(judge(outcome, context)).toEqual(verdict);
  });

  it('finds success nowhere but in status 0', () => {
    const successes = table.filter(([, { verdict }]) => verdict === 'success');
    expect(successes.map(([outcome]) => outcome)).toEqual([exited(0)]);
  });
});
