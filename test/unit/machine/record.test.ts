import { describe, expect, it } from 'vitest';
import { parseRecord } from '../../../src/machine/record.ts';

const record = {
  format: 1,
  machine: 'nsr1-aaaaaaaa-1',
  attempt: 'a1',
  jobId: '1',
  projectId: '2',
  origin: 'gitlab.example.com',
  tag: 'runner-1-project-2-concurrent-0-1',
  createdAt: '2026-01-01T00:00:00.000Z',
  deadline: '2026-01-01T01:00:00.000Z',
  chroot: 'debian-12',
  chrootVersion: '1',
  shell: '/bin/bash',
  user: 'root',
  stopTimeoutSec: 3,
  scriptStopTimeoutSec: 10,
};

describe('parseRecord', () => {
  it('takes what was written', () => {
    expect(parseRecord(JSON.stringify(record), '/r')).toEqual(record);
  });

  it.each([
    ['torn', JSON.stringify(record).slice(0, 60), 'Record "/r" is torn.'],
    ['empty', '', 'Record "/r" is torn.'],
    ['of a later format', JSON.stringify({ ...record, format: 2 }), 'Record "/r" has a format'],
    ['without a machine', JSON.stringify({ ...record, machine: 7 }), 'Record "/r" is not whole.'],
    ['null', 'null', 'Record "/r" is not whole.'],
  ])('refuses one that is %s', (_, text, message) => {
    expect(() => parseRecord(text, '/r')).toThrow(message);
  });
});
