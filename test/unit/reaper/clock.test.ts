import { describe, expect, it } from 'vitest';
import { ageOf, identifyProcess } from '../../../src/process-identity.ts';
import { judgeJob } from '../../../src/reaper/judge-job.ts';
import { evidenceOf } from './made-up.ts';

const HOUR_SEC = 3_600;

/** The made-up job has two hours, from midnight. */
describe('a host’s clock that is set', () => {
  it.each<[string, number, number | undefined, string]>([
    ['forward by years, and the job is young', Date.parse('2036-01-01'), 60, 'keep'],
    ['forward by years, and the job is old', Date.parse('2036-01-01'), 3 * HOUR_SEC, 'remove'],
    ['back to the beginning, and the job is young', 0, 60, 'keep'],
    ['back to the beginning, and the job is old', 0, 3 * HOUR_SEC, 'remove'],
    ['forward, for a job of another boot', Date.parse('2036-01-01'), undefined, 'remove'],
    ['back, for a job of another boot', 0, undefined, 'keep'],
  ])('%s', (_, nowMs, ageSec, decision) => {
    expect(judgeJob(evidenceOf({ ageSec }), nowMs).decision).toBe(decision);
  });
});

describe('the age of a process', () => {
  const self = identifyProcess(process.pid);

  it('is counted from its start', () => {
    const age = ageOf(self);
    expect(Math.abs((age ?? 0) - process.uptime())).toBeLessThan(2);
  });

  it('is not known of another boot', () => {
    expect(ageOf(self && { ...self, bootId: 'another' })).toBeUndefined();
    expect(ageOf(undefined)).toBeUndefined();
  });
});
