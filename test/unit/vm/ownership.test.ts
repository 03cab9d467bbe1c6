import { describe, expect, it } from 'vitest';
import { chooseVictims, claimsOf, evidenceFor, isAtOrBelow } from '../../../src/vm/ownership.ts';
import type { VirtualMachine, VmClaim } from '../../../src/vm/virtual-machine.ts';

const TAG = 'runner-3-project-4-concurrent-0-77';

function vm(more: Partial<VirtualMachine> = {}): VirtualMachine {
  return {
    kind: 'virtualbox',
    id: 'id',
    name: 'name',
    owner: 'gitlab-runner',
    state: 'running',
    tags: [],
    machines: [],
    doubtfulTags: [],
    files: [],
    pids: [],
    ...more,
  };
}

const job: VmClaim = { machine: 'nsr1-aaaaaaaa-77', tag: TAG, directories: ['/srv/builds/77'] };
const other: VmClaim = {
  machine: 'nsr1-aaaaaaaa-78',
  tag: `${TAG}8`,
  directories: ['/srv/builds/78'],
};

describe('a path at or below a directory', () => {
  it.each([
    ['/srv/builds/77', '/srv/builds/77', true],
    ['/srv/builds/77/', '/srv/builds/77', true],
    ['/srv/builds/77/a/b', '/srv/builds/77/', true],
    ['/srv/builds/77/..a', '/srv/builds/77', true],
    ['/srv/builds/778', '/srv/builds/77', false],
    ['/srv/builds', '/srv/builds/77', false],
    ['/srv/builds/77/../78/x', '/srv/builds/77', false],
    ['srv/builds/77/x', '/srv/builds/77', false],
    ['', '/srv/builds/77', false],
    // Nobody owns a root directory or a child of it alone.
    ['/x/y', '/', false],
    ['/x/y', '/x', false],
    ['/x/y', '', false],
    ['/x/y', 'x', false],
  ])('%s, %s: %s', (path, directory, expected) => {
    expect(isAtOrBelow(path, directory)).toBe(expected);
  });
});

describe('the evidence for a claim', () => {
  it.each([
    ['nothing', vm(), false],
    ['its tag', vm({ tags: [TAG] }), true],
    ['a longer tag', vm({ tags: [`${TAG}8`] }), false],
    ['its machine', vm({ machines: [job.machine] }), true],
    ['a file', vm({ files: ['/srv/builds/77/vms/x.vdi'] }), true],
    ['a file of a similar name', vm({ files: ['/srv/builds/77a/x.vdi'] }), false],
    // The same tag may come from another GitLab instance; the machine's name tells.
    ['its tag, and another machine', vm({ tags: [TAG], machines: ['nsr1-bbbbbbbb-77'] }), false],
    ['a doubtful tag', vm({ doubtfulTags: [TAG] }), false],
  ])('%s: %s', (_, candidate, expected) => {
    expect(evidenceFor(candidate, job) !== undefined).toBe(expected);
  });

  it('says what it is', () => {
    const found = evidenceFor(vm({ tags: [TAG], files: ['/srv/builds/77'] }), job);
    expect(found?.proof).toEqual([`marked _CI_JOB_TAG=${TAG}`, 'has /srv/builds/77']);
  });

  it('is none where a claim has neither tag nor directory', () => {
    const empty: VmClaim = { machine: 'nsr1-aaaaaaaa-1', tag: undefined, directories: [] };
    expect(claimsOf(vm({ tags: ['', 'undefined'], files: ['/a/b'] }), [empty])).toEqual([]);
  });
});

describe('victims', () => {
  it.each([
    ['a dead job’s', vm({ tags: [TAG] }), 'victim'],
    ['a person’s', vm({ files: ['/home/me/x.vdi'] }), 'kept'],
    ['one that a living job has too', vm({ tags: [TAG], files: ['/srv/builds/78/x'] }), 'kept'],
    ['one with a doubtful tag', vm({ doubtfulTags: [TAG] }), 'undecided'],
    ['one with a doubtful tag and another one', vm({ doubtfulTags: [TAG], tags: ['x'] }), 'kept'],
    [
      'one with a doubtful tag and a file',
      vm({ doubtfulTags: [TAG], files: ['/srv/builds/77/x'] }),
      'victim',
    ],
  ])('%s', (_, candidate, expected) => {
    const { victims, undecided } = chooseVictims([candidate], [job], [other]);
    expect([victims.length, undecided.length]).toEqual([
      expected === 'victim' ? 1 : 0,
      expected === 'undecided' ? 1 : 0,
    ]);
  });

  it('believes a doubtful tag where no other job lives', () => {
    const candidate = vm({ doubtfulTags: [TAG] });
    expect(chooseVictims([candidate], [job], []).victims).toMatchObject([
      { vm: candidate, claim: job },
    ]);
  });
});
