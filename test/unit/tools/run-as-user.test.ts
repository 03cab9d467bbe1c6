import { describe, expect, it } from 'vitest';
import { isInUnit, runAsUserArguments } from '../../../src/tools/run-as-user.ts';

describe('a program run as a user', () => {
  it('is a unit of its own, which ends in time', () => {
    const command = { user: 'ci', argv: ['/usr/bin/VBoxManage', 'list', '$x'], timeoutSec: 30 };
    expect(
      runAsUserArguments({ ...command, signal: undefined, env: { A: 'b' } }, 'u.service'),
    ).toEqual([
      '--uid=ci',
      '--collect',
      '--pipe',
      '--wait',
      '--quiet',
      '--unit=u.service',
      '--service-type=exec',
      '--description=Run a tool as ci',
      '--property=KillMode=process',
      '--property=RuntimeMaxSec=30',
      '--property=TimeoutStopSec=5',
      '--property=WorkingDirectory=-~',
      '--setenv=LC_ALL=C.UTF-8',
      '--setenv=A=b',
      '--',
      '/usr/bin/VBoxManage',
      'list',
      '$$x',
    ]);
  });
});

describe('the control groups of a process', () => {
  it.each([
    ['0::/system.slice/u.service\n', true],
    ['1:name=systemd:/system.slice/u.service/sub\n0::/\n', true],
    ['0::/system.slice/uu.service\n', false],
    ['0::/system.slice/x-u.service\n', false],
    ['', false],
  ])('%j: %s', (text, expected) => {
    expect(isInUnit(text, 'u.service')).toBe(expected);
  });
});
