import { describe, expect, it } from 'vitest';
import {
  judgeCgroups,
  judgeKernelLimits,
  judgeMachined,
  judgeNode,
  judgeSystemd,
  judgeUser,
} from '../../../src/host/system.ts';

describe('judgeNode', () => {
  it.each([
    ['18.19.0', 'fail'],
    ['20.18.1', 'fail'],
    ['20.19.0', 'warn'],
    ['21.7.3', 'warn'],
    ['22.0.0', 'ok'],
    ['24.4.1', 'ok'],
  ])('%s: %s', (version, level) => {
    expect(judgeNode(version).level).toBe(level);
  });
});

describe('judgeSystemd', () => {
  const systemctl = 'systemd 257 (257.9-1~deb13u1)';
  const nspawn = systemctl;
  it.each([
    [{ isInit: true, systemctl, nspawn }, ['ok', 'ok']],
    [{ isInit: true, systemctl: 'systemd 252 (252.39-1)', nspawn }, ['ok', 'ok']],
    [{ isInit: true, systemctl: 'systemd 249 (249.11)', nspawn }, ['fail', 'ok']],
    [{ isInit: true, systemctl: 'gibberish', nspawn }, ['fail', 'ok']],
    [{ isInit: false, systemctl, nspawn: undefined }, ['fail', 'fail']],
  ])('%j', (facts, levels) => {
    expect(judgeSystemd(facts).map(({ level }) => level)).toEqual(levels);
  });

  it('says which version is needed', () => {
    expect(judgeSystemd({ isInit: true, systemctl: 'systemd 249 (249.11)', nspawn })[0]).toEqual({
      level: 'fail',
      object: 'systemd',
      finding: '249; 252 or newer is needed to own job machines',
      todo: 'Use Debian 12, Ubuntu 24.04, RHEL 9 or newer.',
    });
  });
});

describe('judgeCgroups', () => {
  it.each([
    [{ layout: 'v2', controllers: ['cpuset', 'cpu', 'io', 'memory', 'pids'] } as const, 'ok'],
    [{ layout: 'v2', controllers: ['pids'] } as const, 'warn'],
    [{ layout: 'hybrid', controllers: [] } as const, 'warn'],
    [{ layout: 'v1', controllers: [] } as const, 'fail'],
  ])('%j: %s', (facts, level) => {
    expect(judgeCgroups(facts).level).toBe(level);
  });

  it('names the limits that do not hold', () => {
    expect(judgeCgroups({ layout: 'v2', controllers: ['pids'] }).finding).toBe(
      'version 2 without cpu, memory: such limits in the settings are not enforced',
    );
  });
});

describe('judgeKernelLimits', () => {
  it('warns of the kernel defaults and leaves out what it does not know', () => {
    const findings = judgeKernelLimits({ inotifyInstances: 128, keys: 200, pidMax: undefined });
    expect(findings).toEqual([
      {
        level: 'warn',
        object: 'fs.inotify.max_user_instances',
        finding: '128, little for many machines at once',
        todo: 'Put `fs.inotify.max_user_instances = 8192` into /etc/sysctl.d/60-nspawn-runner.conf and run `sysctl --system`.',
      },
      {
        level: 'warn',
        object: 'kernel.keys.maxkeys',
        finding: '200, little for many jobs that run as the same user at once',
        todo: 'Put `kernel.keys.maxkeys = 20000` into /etc/sysctl.d/60-nspawn-runner.conf and run `sysctl --system`.',
      },
    ]);
  });

  it('is content with large limits', () => {
    const findings = judgeKernelLimits({ inotifyInstances: 8192, keys: 20_000, pidMax: 4_194_304 });
    expect(findings.map(({ level }) => level)).toEqual(['ok', 'ok', 'ok']);
  });
});

it('wants root', () => {
  expect(judgeUser(0).level).toBe('ok');
  expect(judgeUser(1000).level).toBe('fail');
  expect(judgeUser(undefined).level).toBe('fail');
});

it('wants machined', () => {
  expect(judgeMachined(undefined).level).toBe('ok');
  expect(judgeMachined('Connection refused')).toEqual({
    level: 'fail',
    object: 'machined',
    finding: 'does not answer: Connection refused',
    todo: 'Look at `systemctl status dbus.service systemd-machined.service`.',
  });
});
