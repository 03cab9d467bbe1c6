import { describe, expect, it } from 'vitest';
import { nspawnArguments, type NspawnMachine } from '../../../src/tools/systemd-nspawn.ts';

function aMachine(fields: Partial<NspawnMachine> = {}): NspawnMachine {
  return {
    machine: 'm',
    binds: [],
    env: { A: 'b' },
    network: 'host',
    hasAllCapabilities: false,
    systemCalls: [],
    suppressSync: false,
    options: [],
    ...fields,
  };
}

describe('nspawnArguments', () => {
  it('has nothing for a machine that nothing is said of', () => {
    expect(nspawnArguments(aMachine())).toEqual([
      '--quiet',
      '--machine=m',
      '--boot',
      '--keep-unit',
      '--notify-ready=yes',
      '--settings=no',
      '--link-journal=no',
      '--oom-score-adjust=0',
      '--resolv-conf=replace-host',
      '--timezone=off',
      '--console=read-only',
      'systemd.setenv=A=b',
    ]);
  });

  it('has all that can be said, options last but for init’s own', () => {
    const args = nspawnArguments(
      aMachine({
        binds: [{ source: '/srv/data', target: '/data', readOnly: false }],
        network: 'none',
        hasAllCapabilities: true,
        systemCalls: ['add_key', 'bpf'],
        suppressSync: true,
        options: ['--hostname=a', '--tmpfs=/x'],
      }),
    );
    expect(args.slice(args.indexOf('--oom-score-adjust=0') + 1)).toEqual([
      '--resolv-conf=off',
      '--timezone=off',
      '--console=read-only',
      '--private-network',
      '--capability=all',
      '--system-call-filter=add_key bpf',
      '--suppress-sync=yes',
      '--bind=/srv/data:/data',
      '--hostname=a',
      '--tmpfs=/x',
      'systemd.setenv=A=b',
    ]);
  });

  it('escapes colons in the paths of binds', () => {
    const binds = [{ source: '/a:b', target: '/c\\d', readOnly: true }];
    expect(nspawnArguments(aMachine({ binds }))).toContain('--bind-ro=/a\\:b:/c\\\\d');
  });
});
