import { describe, expect, it } from 'vitest';
import { machineBase, type RecipeSays } from '../../../src/machine/machine-base.ts';
import type { Limits } from '../../../src/settings.ts';

const chroot = { name: 'a', version: '1', path: '/tree' };
const settings = {
  shell: 'bash',
  user: 'root',
  limits: { memoryMaxPercent: 40, memoryHighBytes: 7, cpuWeight: 50, tasksMax: 100 },
  bootTimeoutSec: 60,
} as const;

describe('machineBase', () => {
  it('is what the settings say where the recipe says nothing', () => {
    expect(machineBase(chroot, settings, {})).toEqual({
      chroot,
      shell: 'bash',
      user: 'root',
      limits: settings.limits,
      binds: [],
      network: 'host',
      profile: 'default',
      suppressSync: false,
      seccomp: true,
      nspawnOptions: [],
      bootTimeoutSec: 60,
    });
  });

  it('is what the recipe says where it says something', () => {
    const said = {
      shell: 'sh',
      user: 'ci',
      binds: [{ source: '/a', target: '/b', readOnly: true }],
      network: 'none',
      profile: 'nesting',
      suppressSync: true,
      seccomp: false,
      nspawnOptions: ['--x'],
      bootTimeoutSec: 5,
    } as const;
    expect(machineBase(chroot, settings, said)).toEqual({
      chroot,
      ...said,
      limits: settings.limits,
    });
  });

  it.each<[RecipeSays, 'host' | 'none']>([
    [{ profile: 'nesting' }, 'none'],
    [{ profile: 'nesting', network: 'host' }, 'host'],
    [{ profile: 'default' }, 'host'],
    [{ network: 'none' }, 'none'],
  ])('with %j has the network "%s"', (said, network) => {
    expect(machineBase(chroot, settings, said).network).toBe(network);
  });

  it.each<[Partial<Limits>, Partial<Limits>]>([
    [{}, {}],
    [{ cpuWeight: 9 }, { cpuWeight: 9 }],
    [{ memoryMaxBytes: 1 }, { memoryMaxBytes: 1, memoryMaxPercent: undefined }],
    [{ memoryHighPercent: 3 }, { memoryHighPercent: 3, memoryHighBytes: undefined }],
    [{ memoryMaxPercent: undefined, tasksMax: 5 }, { tasksMax: 5 }],
    [{ cpuQuotaPercent: 200 }, { cpuQuotaPercent: 200 }],
  ])('takes the limits %j over the settings, limit by limit', (limits, changed) => {
    const base = machineBase(chroot, settings, { limits });
    expect(base.limits).toEqual({ ...settings.limits, ...changed });
  });
});
