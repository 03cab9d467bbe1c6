import { describe, expect, it } from 'vitest';
import { machineUnit } from '../../../src/machine/boot.ts';
import { jobDirectory } from '../../../src/machine/job-directory.ts';
import { machineBase, type RecipeSays } from '../../../src/machine/machine-base.ts';
import { defaultSettings } from '../../../src/settings.ts';
import type { TransientUnit } from '../../../src/tools/systemd-run.ts';
import { MACHINE } from '../reaper/made-up.ts';

function unitOf(said: RecipeSays): TransientUnit {
  return machineUnit({
    machine: MACHINE,
    description: 'd',
    stateDir: '/state',
    directory: jobDirectory('/state', MACHINE),
    base: machineBase({ name: 'a', version: '1', path: '/tree' }, defaultSettings(), said),
    binds: [{ source: '/state/cache/x', target: '/cache', readOnly: false }],
    env: { MARK: 'm' },
    runtimeMaxSec: 100,
    trashItem: `${MACHINE}-1`,
  });
}

const plain = unitOf({});

/** What a unit has that the plain one has not, and the other way round. */
function difference(said: RecipeSays): { more: readonly string[]; less: readonly string[] } {
  const words = ({ properties, env = {}, argv }: TransientUnit): readonly string[] => [
    ...properties,
    ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
    ...argv,
  ];
  const [now, before] = [words(unitOf(said)), words(plain)];
  return {
    more: now.filter((word) => !before.includes(word)),
    less: before.filter((word) => !now.includes(word)),
  };
}

describe('machineUnit', () => {
  it('boots the tree with the job’s directory', () => {
    expect(plain.argv[0]).toBe('/bin/sh');
    expect(plain.argv.slice(2, 4)).toEqual(['/tree', `/state/jobs/${MACHINE}`]);
    expect(plain.argv).toContain('--bind=/state/cache/x:/cache');
  });

  const directory = `/state/jobs/${MACHINE}`;
  it.each<[RecipeSays, readonly string[], readonly string[]]>([
    [{}, [], []],
    [{ seccomp: false }, ['SYSTEMD_SECCOMP=0'], []],
    [{ suppressSync: true }, ['--suppress-sync=yes'], []],
    [
      { network: 'none' },
      ['--resolv-conf=off', '--private-network'],
      ['--resolv-conf=replace-host'],
    ],
    [
      { profile: 'nesting' },
      [
        '--resolv-conf=off',
        '--private-network',
        '--capability=all',
        '--system-call-filter=add_key keyctl bpf',
        `--bind=${directory}/docker:/var/lib/docker`,
        `--bind=${directory}/containerd:/var/lib/containerd`,
        `--bind=${directory}/containers:/var/lib/containers`,
      ],
      ['--resolv-conf=replace-host'],
    ],
    [
      { binds: [{ source: '/srv/a b', target: '/b', readOnly: true }] },
      ['--bind-ro=/srv/a b:/b'],
      [],
    ],
    [{ nspawnOptions: ['--tmpfs=/x'] }, ['--tmpfs=/x'], []],
    [{ bootTimeoutSec: 7 }, ['TimeoutStartSec=7'], ['TimeoutStartSec=60']],
    [{ limits: { memoryMaxBytes: 4096 } }, ['MemoryMax=4096', 'MemorySwapMax=0'], []],
    [{ limits: { memoryMaxPercent: 40 } }, ['MemoryMax=40%', 'MemorySwapMax=0'], []],
    [{ limits: { memoryHighBytes: 1024 } }, ['MemoryHigh=1024'], []],
    [{ limits: { memoryHighPercent: 30 } }, ['MemoryHigh=30%'], []],
    [
      { limits: { tasksMax: 64, cpuWeight: 9 } },
      ['TasksMax=64', 'CPUWeight=9'],
      ['TasksMax=16384'],
    ],
  ])('with %j', (said, more, less) => {
    expect(difference(said)).toEqual({ more, less });
  });
});
