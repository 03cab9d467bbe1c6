import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { treeFaults } from '../../../src/chroot/check-tree.ts';
import { managerEnvironment, maskLink } from '../../../src/chroot/finish-tree.ts';
import { existsInTree, placeInTree, resolveInTree } from '../../../src/chroot/tree-path.ts';

let tree = '';
beforeEach(() => {
  tree = mkdtempSync(join(tmpdir(), 'tree-'));
});
afterEach(() => {
  rmSync(tree, { recursive: true });
});

function file(path: string, content = ''): void {
  mkdirSync(dirname(join(tree, path)), { recursive: true });
  writeFileSync(join(tree, path), content);
}

describe('a path of a tree', () => {
  it.each([
    ['/etc/motd', '/etc/motd'],
    ['etc//./motd', '/etc/motd'],
    ['/../../etc/motd', '/etc/motd'],
    ['/var/run/x', '/run/x'],
    ['/bin/sh', '/usr/bin/dash'],
    ['/sbin/init', '/usr/lib/systemd/systemd'],
    ['/out/etc/shadow', '/etc/shadow'],
    ['/bin/../x', '/usr/x'],
    ['/nowhere/at/all', '/nowhere/at/all'],
  ])('%s is %s', async (path, expected) => {
    mkdirSync(join(tree, 'usr/bin'), { recursive: true });
    mkdirSync(join(tree, 'usr/sbin'));
    mkdirSync(join(tree, 'usr/lib/systemd'), { recursive: true });
    mkdirSync(join(tree, 'var'));
    symlinkSync('usr/bin', join(tree, 'bin'));
    symlinkSync('usr/sbin', join(tree, 'sbin'));
    symlinkSync('usr/lib', join(tree, 'lib'));
    symlinkSync('/run', join(tree, 'var/run'));
    symlinkSync('dash', join(tree, 'usr/bin/sh'));
    symlinkSync('/lib/systemd/systemd', join(tree, 'usr/sbin/init'));
    symlinkSync('../../../../..', join(tree, 'out'));
    expect(await resolveInTree(tree, path)).toBe(join(tree, expected));
  });

  it('that goes round in circles is refused', async () => {
    symlinkSync('b', join(tree, 'a'));
    symlinkSync('a', join(tree, 'b'));
    await expect(resolveInTree(tree, '/a')).rejects.toThrow('Too many links in "/a"');
  });

  it('of a new file gets its directories', async () => {
    symlinkSync('/etc/real', join(tree, 'link'));
    const place = await placeInTree(tree, '/link/a/b');
    expect(place).toBe(join(tree, 'etc/real/a/b'));
    expect(lstatSync(join(tree, 'etc/real/a')).isDirectory()).toBe(true);
    expect(existsSync('/etc/real')).toBe(false);
  });

  it('that leads nowhere does not exist', async () => {
    symlinkSync(tmpdir(), join(tree, 'host'));
    expect(await existsInTree(tree, '/host')).toBe(false);
  });
});

describe('a tree', () => {
  const good = [
    'usr/lib/systemd/systemd',
    'sbin/init',
    'usr/bin/dbus-daemon',
    'bin/sh',
    'bin/bash',
    'bin/cat',
    'usr/bin/git',
    'etc/machine-id',
  ];

  it('with all that machines need has no faults', async () => {
    for (const path of good) file(path);
    expect(await treeFaults(tree, [])).toEqual([]);
  });

  it('without anything says what is missing and where it comes from', async () => {
    expect(await treeFaults(tree, [])).toEqual([
      '"/usr/lib/systemd/systemd" is missing; package "systemd" has it.',
      '"/sbin/init" is missing; package "systemd-sysv" has it.',
      '"/usr/bin/dbus-daemon" is missing; package "dbus" has it.',
      '"/bin/sh" is missing; package "dash" has it.',
      '"/bin/bash" is missing; package "bash" has it.',
      '"/bin/cat" is missing; package "coreutils" has it.',
      '"/usr/bin/git" is missing; package "git" has it.',
      '"/etc/machine-id" must be an empty file, or all machines are the same one.',
    ]);
  });

  it('with devices other than those that systemd-nspawn makes itself is refused', async () => {
    for (const path of good) file(path);
    expect(await treeFaults(tree, ['/dev/null', '/srv/sda'])).toEqual(['"/srv/sda" is a device.']);
  });

  it('with a machine id of its own is refused', async () => {
    for (const path of good) file(path);
    writeFileSync(join(tree, 'etc/machine-id'), '0123456789abcdef0123456789abcdef\n');
    expect(await treeFaults(tree, [])).toEqual([
      '"/etc/machine-id" must be an empty file, or all machines are the same one.',
    ]);
  });
});

describe("a recipe's own", () => {
  it('environment is quoted for systemd', () => {
    expect(managerEnvironment({ A: 'plain', B: 'a "b" 100% \\x', C: "it's $HOME" })).toBe(
      [
        '[Manager]',
        'DefaultEnvironment="A=plain"',
        String.raw`DefaultEnvironment="B=a \"b\" 100%% \\x"`,
        `DefaultEnvironment="C=it's $HOME"`,
        '',
      ].join('\n'),
    );
  });

  it.each([
    ['fstrim.timer', '/etc/systemd/system/fstrim.timer'],
    ['a.target.wants/b.service', '/etc/systemd/system/a.target.wants/b.service'],
    ['system-generators/systemd-x', '/etc/systemd/system-generators/systemd-x'],
  ])('mask %s is a link at %s', (name, link) => {
    expect(maskLink(name)).toBe(link);
  });
});
