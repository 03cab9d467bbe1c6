import { describe, expect, it } from 'vitest';
import { machineEnd } from '../../../src/machine/machine-end.ts';
import type { JournalEntry } from '../../../src/tools/journalctl.ts';

function entry(message: string, fields: Partial<JournalEntry> = {}): JournalEntry {
  return {
    atMs: 0,
    message,
    exitCode: undefined,
    exitStatus: undefined,
    unitResult: undefined,
    ...fields,
  };
}

const killed = [
  entry('x.service: Sending signal SIGKILL to process 7 (sh) on client request.'),
  entry('x.service: Main process exited, code=killed, status=9/KILL', {
    exitCode: 'killed',
    exitStatus: '9',
  }),
  entry("x.service: Failed with result 'signal'.", { unitResult: 'signal' }),
];

/** As systemd 257 writes it on cgroup v2: who is killed first is the supervisor, or the init. */
function endAfterOomKill(msAfter: number, exit: Partial<JournalEntry>): JournalEntry[] {
  const times = { atMs: 1_000_000 + msAfter };
  return [
    entry('Started x.service - GitLab job 1 of project 7.', { atMs: 500_000 }),
    entry('x.service: A process of this unit has been killed by the OOM killer.', {
      atMs: 1_000_000,
    }),
    entry('x.service: Main process exited, code=, status=', { ...times, ...exit }),
    entry('x.service: Failed with result', { ...times, unitResult: 'signal' }),
  ];
}

describe('a machine whose memory is all eaten', () => {
  it.each([
    ['its supervisor killed', 43, { exitCode: 'killed', exitStatus: '9' }],
    ['its init killed', 2000, { exitCode: 'exited', exitStatus: '1' }],
  ])('with %s is out of memory', (_, msAfter, exit) => {
    expect(machineEnd(endAfterOomKill(msAfter, exit))).toEqual({ how: 'out-of-memory' });
  });

  it('long before the machine was killed is not why it is gone', () => {
    const end = machineEnd(endAfterOomKill(60_000, { exitCode: 'killed', exitStatus: '9' }));
    expect(end.how).toBe('killed');
  });

  it.each([
    'Stopping x.service - GitLab job 1 of project 7...',
    'x.service: Sending signal SIGKILL to process 7 (systemd-nspawn) on client request.',
  ])('and that was asked to end is not out of memory: %s', (message) => {
    const [first, ...rest] = endAfterOomKill(43, { exitCode: 'killed', exitStatus: '9' });
    expect(machineEnd([...(first ? [first] : []), entry(message), ...rest]).how).toBe('killed');
  });

  it('and that then reboots has rebooted', () => {
    const end = machineEnd(endAfterOomKill(43, { exitCode: 'exited', exitStatus: '133' }));
    expect(end).toEqual({ how: 'rebooted' });
  });
});

it('tells that systemd-oomd ended it, which is the host’s want and not the job’s', () => {
  const oomd = entry('x.service: systemd-oomd killed 12 process(es) in this unit.');
  expect(machineEnd([oomd, ...killed])).toEqual({
    how: 'killed',
    facts: [
      'x.service: systemd-oomd killed 12 process(es) in this unit.',
      'x.service: Main process exited, code=killed, status=9/KILL',
      "x.service: Failed with result 'signal'.",
    ],
  });
});

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
