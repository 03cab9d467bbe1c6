import { describe, expect, it } from 'vitest';
import { CommandError, HostError } from '../../../src/errors.ts';
import { keep, remove, type Thing, type Verdict } from '../../../src/reaper/finding.ts';
import { renderReport, reportOf, type Outcome, type Result } from '../../../src/reaper/report.ts';
import { MACHINE, OTHER } from './made-up.ts';

function outcome(
  result: Result,
  verdict: Verdict,
  things: readonly Thing[],
  more: Partial<Outcome> & { readonly machine?: string } = {},
): Outcome {
  const { machine, ...rest } = more;
  return {
    case: { machine, things, verdict, remove: () => Promise.resolve(undefined) },
    result,
    ...rest,
  };
}

const startedAt = new Date('2026-05-04T03:02:01.000Z');
const now = new Date('2026-05-04T03:02:02.340Z');
const dead = remove('its GitLab Runner is gone', 'process 12 is gone', 'no stage runs');
const machineAndDirectory: readonly Thing[] = [
  { kind: 'machine', name: MACHINE },
  { kind: 'directory', name: MACHINE },
];
const outcomes: readonly Outcome[] = [
  outcome(
    'kept',
    keep('its GitLab Runner lives', 'process 9'),
    [{ kind: 'machine', name: OTHER }],
    {
      machine: OTHER,
    },
  ),
  outcome('removed', dead, machineAndDirectory, { machine: MACHINE }),
  outcome('kept', dead, [{ kind: 'temp-dir', name: '/tmp/custom-executor1' }], {
    changed: 'a stage of the job runs: process 5',
  }),
  outcome('failed', dead, [{ kind: 'trash', name: 'x' }], {
    error: new HostError('"/t/x" cannot be deleted.', { details: ['Left: a.', 'Left: b.'] }),
  }),
];

describe('reportOf', () => {
  it('says of each thing what became of it, and counts', () => {
    expect(reportOf(outcomes, { dryRun: false, startedAt, now })).toEqual({
      dryRun: false,
      startedAt: '2026-05-04T03:02:01.000Z',
      durationSec: 1.34,
      items: [
        {
          ...{ kind: 'machine', name: OTHER, machine: OTHER, decision: 'keep', result: 'kept' },
          ...{ reason: 'its GitLab Runner lives', proof: ['process 9'] },
        },
        ...machineAndDirectory.map(({ kind }) => ({
          ...{ kind, name: MACHINE, machine: MACHINE, decision: 'remove', result: 'removed' },
          ...{ reason: dead.reason, proof: dead.proof },
        })),
        {
          ...{ kind: 'temp-dir', name: '/tmp/custom-executor1', machine: null, decision: 'keep' },
          ...{ result: 'kept', reason: 'a stage of the job runs: process 5', proof: [] },
        },
        {
          ...{ kind: 'trash', name: 'x', machine: null, decision: 'remove', result: 'failed' },
          ...{ reason: dead.reason, proof: dead.proof },
          error: '"/t/x" cannot be deleted. Left: a. Left: b.',
        },
      ],
      counts: {
        machine: { removed: 1, kept: 1, failed: 0 },
        directory: { removed: 1, kept: 0, failed: 0 },
        'temp-dir': { removed: 0, kept: 1, failed: 0 },
        trash: { removed: 0, kept: 0, failed: 1 },
      },
    });
  });

  it('counts nothing as removed that only would be', () => {
    const report = reportOf([outcome('would-remove', dead, machineAndDirectory)], {
      ...{ dryRun: true, startedAt, now: startedAt },
    });
    expect(report.items.map(({ decision, result }) => [decision, result])).toEqual([
      ['remove', 'would-remove'],
      ['remove', 'would-remove'],
    ]);
    expect(report.counts).toEqual({
      machine: { removed: 0, kept: 0, failed: 0 },
      directory: { removed: 0, kept: 0, failed: 0 },
    });
  });

  const facts = {
    ...{ argv: ['umount'], exitStatus: 32, signal: undefined, timedOutAfterSec: undefined },
    ...{ stderrTail: 'umount: /x: target is busy.\n', durationMs: 1 },
  };
  it.each([
    ['a clause', 'left for the next run', 'left for the next run'],
    [
      'a failure',
      new CommandError('umount ended with exit status 32.', facts),
      'umount ended with exit status 32. umount: /x: target is busy.',
    ],
    ['a bug', new TypeError('x is not a function'), 'x is not a function'],
  ])('tells of a failure by %s', (_, error, text) => {
    const [item] = reportOf(
      [outcome('failed', dead, [{ kind: 'link', name: 've-x' }], { error })],
      {
        ...{ dryRun: false, startedAt, now },
      },
    ).items;
    expect(item?.error).toBe(text);
  });
});

describe('renderReport', () => {
  it('is a table with a sum', () => {
    expect(renderReport(reportOf(outcomes, { dryRun: false, startedAt, now }))).toBe(`\
kept     machine    nsr1-bbbbbbbb-7        its GitLab Runner lives; process 9
removed  machine    nsr1-aaaaaaaa-7        its GitLab Runner is gone; process 12 is gone; no stage runs
removed  directory  nsr1-aaaaaaaa-7        its GitLab Runner is gone; process 12 is gone; no stage runs
kept     temp-dir   /tmp/custom-executor1  a stage of the job runs: process 5
FAILED   trash      x                      "/t/x" cannot be deleted. Left: a. Left: b.
2 removed, 2 kept, 1 failed, in 1.3 s.`);
  });

  it('says what would be, in a dry run', () => {
    const report = reportOf([outcome('would-remove', dead, machineAndDirectory)], {
      ...{ dryRun: true, startedAt, now: startedAt },
    });
    expect(renderReport(report)).toBe(`\
would remove  machine    nsr1-aaaaaaaa-7  its GitLab Runner is gone; process 12 is gone; no stage runs
would remove  directory  nsr1-aaaaaaaa-7  its GitLab Runner is gone; process 12 is gone; no stage runs
2 to remove, 0 kept, 0 failed, in 0.0 s.`);
  });

  it('is one line where there is nothing', () => {
    const report = reportOf([], { dryRun: false, startedAt, now: startedAt });
    expect(renderReport(report)).toBe('0 removed, 0 kept, 0 failed, in 0.0 s.');
  });

  it('keeps a line a line, and a terminal a terminal, whatever a job named its things', () => {
    const name = 'libvirt:\u001b]0;title\u0007\nremoved  machine  x\u009b2J\u202eevil';
    const report = reportOf(
      [
        outcome('failed', dead, [{ kind: 'virtual-machine', name }], {
          error: 'one\r\ntwo\tthree',
        }),
      ],
      { dryRun: false, startedAt, now: startedAt },
    );
    expect(renderReport(report).split('\n')).toEqual([
      'FAILED  virtual-machine  libvirt: ]0;title removed  machine  x 2J evil  one two three',
      '0 removed, 0 kept, 1 failed, in 0.0 s.',
    ]);
    expect(report.items[0]?.name).toBe(name);
  });
});
