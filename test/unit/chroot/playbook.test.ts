import { describe, expect, it } from 'vitest';
import { inventoryOf, signOf } from '../../../src/chroot/playbook.ts';

const TREE = '/s/chroots/ci/building-1/tree';

describe('signOf', () => {
  it.each([
    [
      'fatal: [/x]: FAILED! => {"msg": "the connection plugin \'chroot\' was not found"}',
      'no connection',
    ],
    ["the connection plugin 'community.general.chroot' was not found", 'no connection'],
    ['skipping: no hosts matched', 'no hosts'],
    [`${TREE} : ok=2    changed=0    unreachable=0    failed=0`, 'played'],
    [`${TREE}            : ok=0    changed=0    unreachable=0    failed=1`, 'played'],
    ['localhost                  : ok=2    changed=0', undefined],
    [`ok: [${TREE}]`, undefined],
    ['skipping: [localhost]', undefined],
    ['', undefined],
  ])('%j → %s', (line, sign) => {
    expect(signOf(line, TREE)).toBe(sign);
  });
});

describe('the inventory', () => {
  it('has the tree as its one host, and its former path as a group', () => {
    const inventory = inventoryOf('/etc/nspawn-runner/ci.yml', TREE, '/t/chroot');
    expect(inventory).toEqual({
      all: {
        hosts: {
          [TREE]: {
            ansible_connection: 'chroot',
            ansible_chroot_exe: '/t/chroot',
            ansible_remote_tmp: '/run/nspawn-runner-ansible',
            ansible_async_dir: '/run/nspawn-runner-ansible',
          },
        },
        children: { '/var/lib/nspawn-runner/ci': { hosts: { [TREE]: {} } } },
      },
    });
  });
});
