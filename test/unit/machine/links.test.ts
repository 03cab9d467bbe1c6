import { describe, expect, it } from 'vitest';
import { machineOfLink } from '../../../src/machine/links.ts';
import { MACHINE, OTHER } from '../reaper/made-up.ts';

describe('machineOfLink', () => {
  it.each([
    // From 246 on systemd-nspawn cuts a name and hashes it, and keeps the whole one beside it.
    ['a cut name with the whole one beside it', 've-nsr1-aaaiHK', [`ve-${MACHINE}`], MACHINE],
    ['a link of a bridge', 'vb-nsr1-aaaiHK', [`vb-${MACHINE}`], MACHINE],
    ['a whole name', `ve-${MACHINE}`, [], MACHINE],
    ['more names', 've-nsr1-aaaiHK', ['eth-lab', `ve-${MACHINE}`], MACHINE],
    ['a cut name alone', 've-nsr1-aaaaaa', [], undefined],
    ['a name without the prefix', 'eth0', [MACHINE], undefined],
    ['another machine’s', 've-debian', ['ve-debian-of-a-person'], undefined],
    ['a name that begins with ours', 've-x', [`ve-${MACHINE}-x`], undefined],
    ['a name that ends with ours', 've-x', [`ve-x-${MACHINE}`], undefined],
    ['another machine of ours', 've-x', [`ve-${OTHER}`], OTHER],
    ['nothing', 'lo', [], undefined],
  ])('%s', (_, name, alternativeNames, machine) => {
    expect(machineOfLink({ name, alternativeNames })).toBe(machine);
  });
});
