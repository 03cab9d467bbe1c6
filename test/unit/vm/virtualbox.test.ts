import { describe, expect, it } from 'vitest';
import { parseMachine } from '../../../src/tools/vboxmanage.ts';
import { childrenFirst } from '../../../src/vm/virtualbox-tidy.ts';
import { runningMachine } from '../../../src/vm/virtualbox-users.ts';
import { describe as describeMachine } from '../../../src/vm/virtualbox.ts';
import type { VmProcess } from '../../../src/vm/vm-processes.ts';

const ID = '0f6c1c55-7a33-4c3e-9c47-2d1b2f0c9a01';
const account = { name: 'ci', uid: 1000, home: '/home/ci' };

function processOf(argv: string[], tags: string[] = [], machines: string[] = []): VmProcess {
  return { pid: 7, startTime: '1', uid: 1000, argv, marks: { tags, machines }, cgroups: '' };
}

const headless = [
  '/usr/lib/virtualbox/VBoxHeadless',
  '--comment',
  'x',
  '--startvm',
  ID,
  '--vrde',
  'config',
];
const daemon = ['/usr/lib/virtualbox/VBoxSVC', '--auto-shutdown'];

describe('the process of a machine', () => {
  it.each([
    [headless, true],
    [['/opt/VirtualBox/VirtualBoxVM', `--startvm=${ID}`], true],
    [['VBoxHeadless', '-s', ID], true],
    [['VBoxHeadless', '--comment', ID, '--startvm', 'x'], false],
    [['VBoxHeadless', '--startvm'], false],
    [[...daemon, '--startvm', ID], false],
    [[], false],
  ])('%j: %s', (argv, expected) => {
    expect(runningMachine({ argv }) === ID).toBe(expected);
  });
});

describe('what a machine says', () => {
  const machine = parseMachine(`name="x"\nVMState="running"\ndescription="_CI_JOB_TAG=said"\n`, ID);

  it.each([
    [
      'its own process',
      [processOf(headless, ['a'], ['m'])],
      { tags: ['said', 'a'], machines: ['m'], doubtfulTags: [] },
    ],
    [
      'one with VBoxSVC’s marks',
      [processOf(daemon, ['a'], ['m']), processOf(headless, ['a'], ['m'])],
      { tags: ['said'], machines: [], doubtfulTags: ['a'] },
    ],
    [
      'one beside another VBoxSVC',
      [processOf(daemon, ['b']), processOf(headless, ['a'])],
      { tags: ['said', 'a'], machines: [], doubtfulTags: [] },
    ],
    [
      'VBoxSVC alone',
      [processOf(daemon, ['a'])],
      { tags: ['said'], machines: [], doubtfulTags: [], pids: [] },
    ],
  ])('%s', (_, processes, expected) => {
    expect(describeMachine(machine, { account, processes, files: [] })).toMatchObject(expected);
  });

  it('is known by its folder where its settings cannot be read', () => {
    const lost = {
      ...parseMachine('name="<inaccessible>"', ID),
      configFile: '/home/ci/VMs/lost/lost.vbox',
    };
    expect(describeMachine(lost, { account, processes: [], files: [] }).name).toBe('lost');
  });
});

describe('disks', () => {
  it.each([
    [
      [
        ['a', undefined],
        ['b', 'a'],
        ['c', 'b'],
      ],
      ['c', 'b', 'a'],
    ],
    [
      [
        ['c', 'b'],
        ['a', undefined],
        ['b', 'a'],
      ],
      ['c', 'b', 'a'],
    ],
    [[['a', 'elsewhere']], ['a']],
    // A circle, which VirtualBox would not make.
    [
      [
        ['a', 'b'],
        ['b', 'a'],
      ],
      ['a', 'b'],
    ],
  ])('%j go children first', (disks, expected) => {
    const given = disks.map(([id, parent]) => ({ id: id ?? '', parent }));
    const order = childrenFirst(given).map(({ id }) => id);
    expect(disks.length === 2 ? [...order].sort() : order).toEqual(expected);
  });
});
