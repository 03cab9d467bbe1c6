import { describe, expect, it } from 'vitest';
import type { RecordState } from '../../../src/machine/record.ts';
import type { JobEvidence } from '../../../src/reaper/job-evidence.ts';
import { isSameAttempt, thingsOf } from '../../../src/reaper/reap-job.ts';
import { aRecord, evidenceOf, MACHINE } from './made-up.ts';

describe('isSameAttempt', () => {
  const first: RecordState = { state: 'usable', record: aRecord({ attempt: 'a1' }) };
  const second: RecordState = { state: 'usable', record: aRecord({ attempt: 'a2' }) };
  const none: RecordState = { state: 'none' };
  const unusable: RecordState = { state: 'unusable' };
  const newer: RecordState = { state: 'newer' };
  it.each([
    ['the same record', first, first, true],
    ['a record that systemd has taken', first, none, true],
    ['another attempt', first, second, false],
    ['a record that tore', first, unusable, false],
    ['a record where there was none', none, first, false],
    ['a torn record where there was none', none, unusable, false],
    ['none, as before', none, none, true],
    ['torn, as before', unusable, unusable, true],
    ['torn, and now whole', unusable, first, false],
    ['torn, and now taken', unusable, none, true],
    ['torn, and now a newer version’s', unusable, newer, false],
    ['whole, and now a newer version’s', first, newer, false],
  ])('%s', (_, judged, now, is) => {
    expect(isSameAttempt(judged, now)).toBe(is);
  });
});

describe('thingsOf', () => {
  const nothing: Partial<JobEvidence> = {
    ...{ unit: 'absent', hasGroup: false, hasProcesses: false, hasDirectory: false },
    ...{ record: { state: 'none' }, known: undefined, creator: 'unknown', runner: 'unknown' },
  };
  it.each([
    ['nothing', {}, []],
    ['a unit', { unit: 'failed' }, [['machine', MACHINE]]],
    ['a control group', { hasGroup: true }, [['machine', MACHINE]]],
    ['a directory', { hasDirectory: true }, [['directory', MACHINE]]],
    [
      'processes',
      { stragglers: [8, 9] },
      [
        ['process', '8'],
        ['process', '9'],
      ],
    ],
    ['a virtual machine', { virtualMachines: ['libvirt:a'] }, [['virtual-machine', 'libvirt:a']]],
    [
      'remains',
      { remains: ['/run/a', '/run/b'] },
      [
        ['remains', '/run/a'],
        ['remains', '/run/b'],
      ],
    ],
    ['a link', { links: ['ve-x'] }, [['link', 've-x']]],
    ['a claim', { hasClaim: true }, [['claim', MACHINE]]],
    ['a lock that is free', { lock: 'free' }, [['lock', MACHINE]]],
    ['a lock that is held', { lock: 'held' }, [['lock', MACHINE]]],
    ['a stage alone', { stages: [7] }, []],
  ] satisfies [string, Partial<JobEvidence>, string[][]][])('of %s', (_, job, things) => {
    const found = thingsOf(evidenceOf({ ...nothing, ...job }));
    expect(found.map(({ kind, name }) => [kind, name])).toEqual(things);
  });

  it('of all at once', () => {
    const job = evidenceOf({
      ...{ stragglers: [8], virtualMachines: ['qemu:9'], remains: ['/run/a'], links: ['ve-x'] },
      ...{ hasClaim: true, lock: 'free' },
    });
    expect(thingsOf(job).map(({ kind }) => kind)).toEqual([
      ...['machine', 'directory', 'process', 'virtual-machine', 'remains', 'link', 'claim', 'lock'],
    ]);
  });
});
