import { describe, expect, it } from 'vitest';
import { findAccount } from '../../../src/machine/account.ts';
import { slicePath } from '../../../src/machine/cgroup.ts';
import { hostsFile } from '../../../src/machine/overlay.ts';

describe('hostsFile', () => {
  it('adds the machine to what the chroot has', () => {
    expect(hostsFile('127.0.0.1 localhost\n\n::1 ip6-localhost\n', 'm')).toBe(
      '127.0.0.1 localhost\n::1 ip6-localhost\n127.0.1.1 m\n',
    );
  });

  it('knows localhost where the chroot does not', () => {
    expect(hostsFile('', 'm')).toBe('127.0.0.1 localhost\n127.0.1.1 m\n');
  });
});

describe('findAccount', () => {
  const passwd = 'root:x:0:0:root:/root:/bin/bash\nci:x:1000:1001::/home/ci:/bin/sh\nbad:x:a:b::\n';
  it.each([
    ['ci', { uid: 1000, gid: 1001, home: '/home/ci' }],
    ['root', { uid: 0, gid: 0, home: '/root' }],
    ['bad', undefined],
    ['no', undefined],
  ])('%s', (user, account) => {
    expect(findAccount(passwd, user)).toEqual(account);
  });
});

describe('slicePath', () => {
  it('makes a level of every dash', () => {
    expect(slicePath('nspawn-runner.slice')).toBe('nspawn.slice/nspawn-runner.slice');
    expect(slicePath('machine.slice')).toBe('machine.slice');
  });
});
