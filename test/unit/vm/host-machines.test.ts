import { describe, expect, it } from 'vitest';
import { foreignMachines } from '../../../src/vm/nspawn.ts';
import { isOfLibvirt } from '../../../src/vm/libvirt.ts';
import { guestName, isQemu } from '../../../src/vm/qemu.ts';
import { isInJobMachine } from '../../../src/vm/vm-processes.ts';

describe('machines registered with machined', () => {
  it.each([
    [[], []],
    [['nsr1-aaaaaaaa-1', 'unit:nsr1-aaaaaaaa-1.service'], []],
    [['nsr1-aaaaaaaa-1', 'unit:machine-nsr1.scope'], ['nsr1-aaaaaaaa-1']],
    [['nested', 'unit:machine-nested.scope'], ['nested']],
    [['.tmp123'], []],
  ])('%j: of others are %j', (files, expected) => {
    expect(foreignMachines(files)).toEqual(expected);
  });
});

describe('QEMU', () => {
  it.each([
    ['qemu-system-x86_64', true],
    ['qemu-kvm', true],
    ['qemu-img', false],
    ['qemu-ga', false],
    ['my-qemu-system-x86_64', false],
  ])('%s: %s', (program, expected) => {
    expect(isQemu(program)).toBe(expected);
  });

  it.each([
    [['-name', 'guest=a,debug-threads=on'], 'a'],
    [['-name', 'b'], 'b'],
    [['-name'], undefined],
    [['-name', ''], undefined],
    [[], undefined],
  ])('is named %j', (argv, expected) => {
    expect(guestName(argv)).toBe(expected);
  });

  it.each([
    ['0::/machine.slice/machine-qemu\\x2d1\\x2djob1.scope/libvirt\n', true],
    ['0::/machine.slice/machine-qemu\\x2d1\\x2djob1.scope\n', true],
    ['0::/machine.slice/machine-mine.scope\n', false],
    ['0::/user.slice/user-1000.slice\n', false],
    // What a job's machine makes in its own control groups.
    [
      '0::/nspawn.slice/nspawn-runner.slice/nsr1-aaaaaaaa-1.service/payload/machine.slice/machine-qemu-1.scope\n',
      false,
    ],
    ['0::/user.slice/machine.slice/machine-qemu-1.scope\n', false],
  ])('%s of libvirt: %s', (cgroups, expected) => {
    expect(isOfLibvirt({ cgroups })).toBe(expected);
  });
});

describe("a job's machine", () => {
  it.each([
    ['0::/nspawn.slice/nspawn-runner.slice/nsr1-aaaaaaaa-1.service/payload\n', true],
    ['1:name=systemd:/nspawn.slice/nspawn-runner.slice/x.service\n0::/\n', true],
    ['0::/nspawn.slice/nspawn-runner.slice.d/x\n', false],
    ['0::/system.slice/nspawn-runner.slice-x.service\n', false],
    ['', false],
  ])('has what is in %j: %s', (cgroups, expected) => {
    expect(isInJobMachine({ cgroups })).toBe(expected);
  });
});
