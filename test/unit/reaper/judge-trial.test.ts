import { describe, expect, it } from 'vitest';
import { judgeJob } from '../../../src/reaper/judge-job.ts';
import type { JobEvidence } from '../../../src/reaper/job-evidence.ts';
import { aRecord, evidenceOf } from './made-up.ts';

const known = aRecord({
  origin: 'trial.invalid',
  isTrial: true,
  runnerProcess: undefined,
  tmpDir: undefined,
  chroot: 'debian-13',
});
const now = Date.parse(known.createdAt) + 1000;

function judge(fields: Partial<JobEvidence>): readonly string[] {
  const trial = { known, record: { state: 'usable', record: known }, runner: 'unknown' } as const;
  const { decision, reason, proof } = judgeJob(evidenceOf({ ...trial, ...fields }), now);
  return [decision, reason, ...proof];
}

describe('the trial of a chroot', () => {
  it('is kept while the process that made it lives', () => {
    const kept = ['keep', 'it is a trial of chroot "debian-13"', 'process 11'];
    expect(judge({ creator: 'lives' })).toEqual(kept);
    expect(judge({ creator: 'lives', unit: 'absent', hasProcesses: false })).toEqual(kept);
  });

  it('goes when that process is gone, running or not', () => {
    const removed = [
      'remove',
      'a trial of chroot "debian-13" that was cut off',
      'process 11, which made it, is gone',
      'no stage runs',
      'nobody has its lock',
    ];
    expect(judge({ creator: 'gone' })).toEqual(removed);
    expect(judge({ creator: 'gone', unit: 'absent', hasProcesses: false })).toEqual(removed);
  });

  it('is not touched while somebody has its lock', () => {
    expect(judge({ creator: 'gone', lock: 'held', holder: 9 })[0]).toBe('keep');
    expect(judge({ creator: 'gone', lock: 'held', holder: 9, stragglers: [9] })[0]).toBe('remove');
  });
});
