import { describe, expect, it } from 'vitest';
import type { JobEvidence } from '../../../src/reaper/job-evidence.ts';
import { judgeJob } from '../../../src/reaper/judge-job.ts';
import { aRecord, BOOT, evidenceOf } from './made-up.ts';

/** The made-up record's deadline is 02:00, and it was made at 00:00. */
const at = (time: string): number => Date.parse(`2026-01-01T${time}Z`);
const NOON_OF_JOB = at('01:00:00');

type Row = readonly [
  what: string,
  job: Partial<JobEvidence>,
  decision: 'keep' | 'remove',
  reason: string,
];

const down = { unit: 'absent', hasProcesses: false } as const;
const unknown = { record: { state: 'none' }, known: undefined, runner: 'unknown' } as const;
const kept = { known: aRecord({ isKept: true }) };

function verdicts(rows: readonly Row[], nowMs = NOON_OF_JOB): void {
  it.each(rows)('%s', (_, job, decision, reason) => {
    const verdict = judgeJob(evidenceOf(job), nowMs);
    expect([verdict.decision, verdict.reason]).toEqual([decision, reason]);
  });
}

describe('a job that lives', () => {
  verdicts([
    ['between two stages', {}, 'keep', 'its GitLab Runner lives'],
    ['in a stage', { stages: [77] }, 'keep', 'a stage of the job runs'],
    [
      'in its prepare stage, before the unit',
      { ...down, creator: 'lives' },
      'keep',
      'its prepare stage runs',
    ],
    [
      'with somebody at work on it',
      { lock: 'held', holder: 5 },
      'keep',
      'nspawn-runner is at work on it',
    ],
    [
      'with somebody at work who has not said who',
      { lock: 'held' },
      'keep',
      'nspawn-runner is at work on it',
    ],
    ['with an unknown Runner', { runner: 'unknown' }, 'keep', 'nothing proves it dead'],
    ['whose unit is ending', { unit: 'deactivating' }, 'keep', 'its GitLab Runner lives'],
    [
      'whose unit failed and has processes still',
      { unit: 'failed' },
      'keep',
      'its GitLab Runner lives',
    ],
    [
      'of another state directory',
      { ...unknown, elsewhere: '/srv/two' },
      'keep',
      'it has another state directory',
    ],
    [
      'that a person keeps, when its Runner has ended it',
      { ...kept, isEnded: true },
      'keep',
      'a person keeps it',
    ],
    [
      'that its Runner has ended, in a stage still',
      { isEnded: true, stages: [77] },
      'keep',
      'a stage of the job runs',
    ],
    [
      'that a person keeps, without its Runner',
      { ...kept, runner: 'gone' },
      'keep',
      'a person keeps it',
    ],
    [
      'whose record a newer version wrote',
      { ...unknown, record: { state: 'newer' } },
      'keep',
      'a newer nspawn-runner wrote its record',
    ],
    [
      'whose record a newer version wrote, and that is down',
      { ...unknown, ...down, record: { state: 'newer' } },
      'keep',
      'a newer nspawn-runner wrote its record',
    ],
  ]);
});

describe('a job that is dead', () => {
  verdicts([
    ['without its Runner', { runner: 'gone' }, 'remove', 'its GitLab Runner is gone'],
    ['that its Runner has ended', { isEnded: true }, 'remove', 'its GitLab Runner has ended it'],
    ['without its machine', down, 'remove', 'its machine is gone'],
    [
      'without its machine, whose unit failed',
      { ...down, unit: 'failed' },
      'remove',
      'its machine is gone',
    ],
    [
      'without its machine, whose unit is inactive',
      { ...down, unit: 'inactive' },
      'remove',
      'its machine is gone',
    ],
    [
      'whose person wanted it and which is gone',
      { ...kept, ...down },
      'remove',
      'its machine is gone',
    ],
    ['that left a directory only', { ...unknown, ...down }, 'remove', 'nothing alive made it'],
    [
      'that left a torn record',
      { ...unknown, ...down, record: { state: 'unusable' } },
      'remove',
      'nothing alive made it',
    ],
    [
      'that runs without a record',
      unknown,
      'remove',
      'no stage can use a machine without a record',
    ],
    [
      'that runs with a torn record',
      { ...unknown, record: { state: 'unusable' } },
      'remove',
      'no stage can use a machine without a record',
    ],
    [
      'whose lock is held by what a killed stage left',
      { runner: 'gone', lock: 'held', stragglers: [9] },
      'remove',
      'its GitLab Runner is gone',
    ],
    [
      'whose lock was left by who was killed',
      { runner: 'gone', lock: 'free' },
      'remove',
      'its GitLab Runner is gone',
    ],
  ]);
});

describe('its deadline', () => {
  it.each([
    ['02:00:00', 'keep'],
    ['02:01:00', 'keep'],
    ['02:01:01', 'remove'],
    ['23:00:00', 'remove'],
  ])('at %s: %s', (time, decision) => {
    expect(judgeJob(evidenceOf(), at(time)).decision).toBe(decision);
  });

  it('ends what a person keeps', () => {
    const verdict = judgeJob(evidenceOf(kept), at('02:02:00'));
    expect([verdict.decision, verdict.reason]).toEqual(['remove', 'its deadline has passed']);
  });
});

describe('GitLab’s word', () => {
  const over = { gitlab: 'over' } as const;
  it.each([
    ['over, in its first ten minutes', over, '00:10:00', 'keep'],
    ['over', over, '00:10:01', 'remove'],
    ['over, with a Runner that is not known', { ...over, runner: 'unknown' }, '01:00:00', 'remove'],
    ['over, and a person keeps it', { ...over, ...kept }, '01:00:00', 'keep'],
    ['over, and a stage runs', { ...over, stages: [1] }, '01:00:00', 'keep'],
    ['runs', { gitlab: 'runs' }, '01:00:00', 'keep'],
    ['unknown', { gitlab: 'unknown' }, '01:00:00', 'keep'],
    // The Runner that would end it is gone, whatever GitLab still believes.
    ['runs, without its Runner', { gitlab: 'runs', runner: 'gone' }, '01:00:00', 'remove'],
  ] satisfies [string, Partial<JobEvidence>, string, string][])('%s', (_, job, time, decision) => {
    expect(judgeJob(evidenceOf(job), at(time)).decision).toBe(decision);
  });
});

describe('what speaks for life comes before every proof of death', () => {
  const dead: readonly [string, Partial<JobEvidence>][] = [
    ['no Runner', { runner: 'gone' }],
    ['a Runner that has ended it', { isEnded: true }],
    ['no machine', down],
    ['no record', unknown],
    ['nothing but a directory', { ...unknown, ...down }],
    ['GitLab’s word', { gitlab: 'over' }],
    ['a lock that is free', { runner: 'gone', lock: 'free' }],
  ];
  const alive: readonly [string, Partial<JobEvidence>, string][] = [
    ['a stage', { stages: [1] }, 'a stage of the job runs'],
    ['a stage beside a straggler', { stages: [1], stragglers: [2] }, 'a stage of the job runs'],
    ['a holder of the lock', { lock: 'held', holder: 3 }, 'nspawn-runner is at work on it'],
    ['its prepare stage', { creator: 'lives' }, 'its prepare stage runs'],
  ];
  it.each(
    dead.flatMap(([death, a]) =>
      alive.map(([life, b, why]) => [life, death, { ...a, ...b }, why] as const),
    ),
  )('%s before %s', (_, __, job, reason) => {
    const verdict = judgeJob(evidenceOf(job), at('23:00:00'));
    expect([verdict.decision, verdict.reason]).toEqual(['keep', reason]);
  });

  it('a stage comes first of all', () => {
    const job = evidenceOf({ stages: [1], lock: 'held', creator: 'lives' });
    expect(judgeJob(job, NOON_OF_JOB).proof).toEqual(['process 1']);
  });
});

describe('its proof', () => {
  const rows: readonly [Partial<JobEvidence>, readonly string[]][] = [
    [{ stages: [77, 78] }, ['process 77']],
    [{ lock: 'held', holder: 5 }, ['process 5']],
    [{ lock: 'held' }, ['process unknown']],
    [{ creator: 'lives' }, ['process 11']],
    [{}, ['process 12']],
    [{ runner: 'unknown' }, ['systemd ends it at 2026-01-01T02:00:00.000Z']],
    [{ ...unknown, elsewhere: '/srv/two' }, ['/srv/two']],
    [kept, ['until 2026-01-01T02:00:00.000Z']],
    [
      { runner: 'gone' },
      [`process 12 of boot ${BOOT.slice(0, 8)} is gone`, 'no stage runs', 'nobody has its lock'],
    ],
    [{ isEnded: true }, ['/tmp/custom-executor7 is gone', 'no stage runs', 'nobody has its lock']],
    [
      down,
      [
        'unit absent',
        'its prepare stage, process 11, is gone',
        'no stage runs',
        'nobody has its lock',
      ],
    ],
    [
      { ...down, known: aRecord({ creator: undefined }), creator: 'unknown' },
      ['unit absent', 'its prepare stage is not recorded', 'no stage runs', 'nobody has its lock'],
    ],
    [{ gitlab: 'over' }, ['job 7 at gitlab.example.com', 'no stage runs', 'nobody has its lock']],
    [{ ...unknown, ...down }, ['no record', 'unit absent', 'no stage runs', 'nobody has its lock']],
    [
      { ...unknown, record: { state: 'unusable' } },
      ['a record that is torn or not ours', 'unit active', 'no stage runs', 'nobody has its lock'],
    ],
  ];
  it.each(rows.map(([job, proof]) => [proof.join('; '), job, proof] as const))(
    '%s',
    (_, job, proof) => {
      expect(judgeJob(evidenceOf(job), NOON_OF_JOB).proof).toEqual(proof);
    },
  );

  it('does not say that nobody has a lock which what a killed stage left has', () => {
    const held = { lock: 'held', stragglers: [9, 10] } as const;
    for (const job of [
      { runner: 'gone', ...held },
      { ...unknown, ...held },
    ] as const) {
      const { decision, proof } = judgeJob(evidenceOf(job), NOON_OF_JOB);
      expect(decision).toBe('remove');
      expect(proof).toContain('its lock is held by what a killed stage left: process 9');
      expect(proof).not.toContain('nobody has its lock');
    }
  });
});
