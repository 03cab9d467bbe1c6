import { describe, expect, it } from 'vitest';
import type { HostProcess } from '../../../src/machine/host-processes.ts';
import { identifyProcess } from '../../../src/process-identity.ts';
import { lifeOf, ownRecord, stagesOf } from '../../../src/reaper/collect-jobs.ts';
import { aProcess, aRecord, MACHINE, OTHER, TMP_DIR } from './made-up.ts';

describe('stagesOf', () => {
  const known = { tmpDir: TMP_DIR };
  const stage = { isStage: true };
  it.each([
    ['in the attempt’s directory', { ...stage, tmpDir: TMP_DIR, jobId: '9' }, known, true],
    [
      'with the job’s number',
      { ...stage, tmpDir: '/tmp/custom-executor8', jobId: '7' },
      known,
      true,
    ],
    ['with the job’s number, and no record', { ...stage, jobId: '7' }, undefined, true],
    ['in a directory that nothing knows', { ...stage, tmpDir: TMP_DIR }, undefined, false],
    ['of another job', { ...stage, tmpDir: '/tmp/custom-executor8', jobId: '8' }, known, false],
    ['of a number that begins with the job’s', { ...stage, jobId: '70' }, known, false],
    [
      'of a directory that begins with the job’s',
      { ...stage, tmpDir: `${TMP_DIR}1` },
      known,
      false,
    ],
    ['that says nothing of itself', stage, { tmpDir: undefined }, false],
    ['in a machine', { ...stage, jobId: '7', inMachine: OTHER }, known, false],
    ['that is no stage', { jobId: '7', tmpDir: TMP_DIR }, known, false],
  ] satisfies [
    string,
    Partial<HostProcess>,
    { tmpDir: string | undefined } | undefined,
    boolean,
  ][])('%s', (_, fields, record, is) => {
    expect(stagesOf(MACHINE, record, [aProcess(77, fields)])).toEqual(is ? [77] : []);
  });
});

describe('ownRecord', () => {
  it('believes a record only of its own machine', () => {
    const state = { state: 'usable', record: aRecord() } as const;
    expect(ownRecord(MACHINE, state)).toEqual(state);
    expect(ownRecord(OTHER, state)).toEqual({ state: 'unusable' });
  });

  it.each(['none', 'unusable', 'newer'] as const)('leaves %s as it is', (state) => {
    expect(ownRecord(MACHINE, { state })).toEqual({ state });
  });
});

describe('lifeOf', () => {
  const own = identifyProcess(process.pid);
  it('is known of a process that is recorded, and of no other', () => {
    expect(lifeOf(undefined)).toBe('unknown');
    expect(lifeOf(own)).toBe('lives');
    expect(lifeOf(own && { ...own, startTime: '1' })).toBe('gone');
    expect(lifeOf(own && { ...own, bootId: 'another' })).toBe('gone');
  });
});
