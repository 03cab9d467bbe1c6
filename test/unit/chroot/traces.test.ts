import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  removeTraces,
  withoutPasswordDays,
  withSortedLfsFilter,
} from '../../../src/chroot/traces.ts';

let dir = '';
let tree = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'traces-'));
  tree = join(dir, 'tree');
});
afterEach(() => rmSync(dir, { recursive: true }));

function fill(...paths: readonly string[]): void {
  for (const path of paths) {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    writeFileSync(join(tree, path), path);
  }
}

describe('removeTraces', () => {
  it('takes what the making left, and nothing beside it', async () => {
    const traces = [
      'etc/hostname',
      'etc/resolv.conf',
      'etc/passwd-',
      'etc/subuid-',
      'etc/dpkg/dpkg.cfg.d/99mmdebstrap',
      'etc/ssh/ssh_host_ed25519_key',
      'etc/ssh/ssh_host_ed25519_key.pub',
      'var/lib/systemd/random-seed',
      'var/lib/systemd/credential.secret',
      'var/lib/dbus/machine-id',
      'var/log/dpkg.log',
      'var/log/apt/term.log',
      'var/lib/dpkg/status-old',
      'var/cache/debconf/config.dat-old',
      'var/cache/apt/pkgcache.bin',
      'var/cache/ldconfig/aux-cache',
    ];
    const others = [
      'etc/passwd',
      'etc/hosts',
      'etc/ssh/sshd_config',
      'etc/dpkg/dpkg.cfg.d/50-own',
      'var/lib/dpkg/status',
      'var/lib/dpkg/alternatives/awk',
      'var/log/by-step',
      'var/log/journal/kept',
      'var/cache/debconf/config.dat',
    ];
    fill(...traces, ...others);
    await removeTraces(tree);
    expect(traces.filter((path) => existsSync(join(tree, path)))).toEqual([]);
    expect(others.filter((path) => !existsSync(join(tree, path)))).toEqual([]);
  });

  it('leaves an empty machine-id, whatever was in its place', async () => {
    fill('etc/machine-id');
    await removeTraces(tree);
    const found = lstatSync(join(tree, 'etc/machine-id'));
    expect([found.isFile(), found.size, found.mode & 0o777]).toEqual([true, 0, 0o644]);
  });

  it('never leaves the tree by a link', async () => {
    const outside = join(dir, 'outside');
    mkdirSync(outside);
    for (const name of ['ssh_host_rsa_key', 'machine-id', 'shadow', 'dpkg.log']) {
      writeFileSync(join(outside, name), 'root:*:20000:0:99999:7:::\n');
    }
    fill('etc/passwd', 'var/lib/x');
    symlinkSync(outside, join(tree, 'etc/ssh'));
    symlinkSync(outside, join(tree, 'var/log'));
    symlinkSync(join(outside, 'machine-id'), join(tree, 'etc/machine-id'));
    symlinkSync(join(outside, 'shadow'), join(tree, 'etc/shadow'));
    await removeTraces(tree);
    expect(readdirSync(outside).sort()).toEqual([
      'dpkg.log',
      'machine-id',
      'shadow',
      'ssh_host_rsa_key',
    ]);
    for (const name of readdirSync(outside)) {
      expect(readFileSync(join(outside, name), 'utf8')).toBe('root:*:20000:0:99999:7:::\n');
    }
    expect(lstatSync(join(tree, 'etc/machine-id')).isFile()).toBe(true);
  });
});

describe('withoutPasswordDays', () => {
  it.each([
    ['a day that limits nothing goes', 'a:*:20000:0:99999:7:::', 'a:*::0:99999:7:::'],
    ['also without a limit at all', 'a:!:20000::::::', 'a:!:::::::'],
    ['one of a limit stays', 'a:$y$x:20000:0:90:7:::', 'a:$y$x:20000:0:90:7:::'],
    ['a new password that is asked for stays', 'a:$y$x:0:0:99999:7:::', 'a:$y$x:0:0:99999:7:::'],
    ['what is no entry stays', 'a:b\n\n# x', 'a:b\n\n# x'],
  ])('%s', (_, before, after) => {
    expect(withoutPasswordDays(before)).toBe(after);
  });
});

describe('withSortedLfsFilter', () => {
  const sorted = '[filter "lfs"]\n\tclean = c -- %f\n\tprocess = p\n\trequired = true\n';

  it.each([
    [
      'the keys of the filter are sorted',
      '[user]\n\tname = z\n\temail = a\n[filter "lfs"]\n\trequired = true\n\tprocess = p\n\tclean = c -- %f\n[core]\n\tz = 1\n\ta = 2\n',
      `[user]\n\tname = z\n\temail = a\n${sorted}[core]\n\tz = 1\n\ta = 2\n`,
    ],
    ['what is sorted stays', sorted, sorted],
    [
      'of one key the last value still holds',
      '[filter "lfs"]\n\tprocess = z\n\tclean = b\n\tclean = a\n',
      '[filter "lfs"]\n\tclean = b\n\tclean = a\n\tprocess = z\n',
    ],
    [
      'a value of several lines is left alone',
      '[filter "lfs"]\n\tprocess = z \\\n\tand = more\n\tclean = a\n',
      '[filter "lfs"]\n\tprocess = z \\\n\tand = more\n\tclean = a\n',
    ],
    ['a file without it stays', '[user]\n\tname = a\n', '[user]\n\tname = a\n'],
  ])('%s', (_, before, after) => {
    expect(withSortedLfsFilter(before)).toBe(after);
  });
});
