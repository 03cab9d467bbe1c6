import { describe, expect, it } from 'vitest';
import { machineEnd } from '../../../src/machine/machine-end.ts';
import type { JournalEntry } from '../../../src/tools/journalctl.ts';

function entry(message: string, fields: Partial<JournalEntry> = {}): JournalEntry {
  return { message, exitCode: undefined, exitStatus: undefined, unitResult: undefined, ...fields };
}

const killed = [
  entry('x.service: Sending signal SIGKILL to process 7 (sh) on client request.'),
  entry('x.service: Main process exited, code=killed, status=9/KILL', {
    exitCode: 'killed',
    exitStatus: '9',
  }),
  entry("x.service: Failed with result 'signal'.", { unitResult: 'signal' }),
];

describe('machineEnd', () => {
  it.each([
    [
      'killed',
      killed,
      {
        how: 'killed',
        facts: [
          'x.service: Main process exited, code=killed, status=9/KILL',
          "x.service: Failed with result 'signal'.",
        ],
      },
    ],
    ['powered off', [entry('x.service: Deactivated successfully.')], { how: 'powered-off' }],
    [
      'stopped by the operator',
      [entry('Stopping x.service...'), entry('x.service: Deactivated successfully.')],
      { how: 'killed', facts: ['Stopping x.service...', 'x.service: Deactivated successfully.'] },
    ],
    [
      'rebooted',
      [
        entry('x.service: Main process exited', { exitCode: 'exited', exitStatus: '133' }),
        entry('x', { unitResult: 'exit-code' }),
      ],
      { how: 'rebooted' },
    ],
    ['out of memory', [entry('x', { unitResult: 'oom-kill' })], { how: 'out-of-memory' }],
    [
      'past its deadline',
      [
        entry('x.service: Service reached runtime time limit. Stopping.'),
        entry('x', { unitResult: 'timeout' }),
      ],
      { how: 'deadline' },
    ],
    ['unknown', [], { how: 'killed', facts: [] }],
    [
      'not what an earlier attempt was',
      [...killed, entry('Starting x.service...'), entry('x.service: Deactivated successfully.')],
      { how: 'powered-off' },
    ],
  ])('%s', (_, entries, end) => {
    expect(machineEnd(entries)).toEqual(end);
  });
});
