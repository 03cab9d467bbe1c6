import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  packageManagerOf,
  requirePackageManager,
  type PackageManager,
} from '../../../src/chroot/package-manager.ts';
import { SettingsError } from '../../../src/errors.ts';

let tree = '';
beforeEach(() => {
  tree = mkdtempSync(join(tmpdir(), 'packages-'));
});
afterEach(() => {
  rmSync(tree, { recursive: true });
});
function put(path: string): void {
  mkdirSync(dirname(join(tree, path)), { recursive: true });
  writeFileSync(join(tree, path), '');
}
async function managerWith(path: string): Promise<PackageManager> {
  put(path);
  return requirePackageManager(tree, { name: 'web', file: 'web.yaml' });
}

describe('the package manager of a tree', () => {
  it.each([
    ['usr/bin/apt-get', 'apt'],
    ['usr/bin/dnf', 'dnf'],
  ])('%s', async (path, name) => {
    expect((await managerWith(path)).name).toBe(name);
  });

  it('is found behind links, which stay in the tree', async () => {
    put('usr/bin/dnf5');
    symlinkSync('/usr/bin/dnf5', join(tree, 'usr/bin/dnf'));
    expect((await packageManagerOf(tree))?.name).toBe('dnf');
    // On this host, and not in the tree.
    symlinkSync('/usr/bin/env', join(tree, 'usr/bin/apt-get'));
    expect((await packageManagerOf(tree))?.name).toBe('dnf');
  });

  it('may be none', async () => {
    expect(await packageManagerOf(tree)).toBeUndefined();
    const error: unknown = await requirePackageManager(tree, {
      ...{ name: 'web', file: '/etc/recipes/web.yaml' },
    }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(SettingsError);
    expect(error).toMatchObject({
      message: 'The tree of chroot "web" has neither apt-get nor dnf.',
      hint: 'Install with its own package manager under "script", and say "update: rebuild".',
    });
  });
});

describe('its commands', () => {
  it.each(['usr/bin/apt-get', 'usr/bin/dnf'])('of %s are programs by their paths', async (path) => {
    const { install, upgrade, simulate, clean } = await managerWith(path);
    for (const [program] of [...install(['git']), ...upgrade, ...simulate, ...clean]) {
      expect(program).toMatch(/^\/usr\/bin\/[a-z-]+$/);
    }
  });

  it('install what the recipe names, and take none of it for an option', async () => {
    const [update, install] = (await managerWith('usr/bin/apt-get')).install(['git', 'npm']);
    expect(update?.at(-1)).toBe('update');
    expect(install?.slice(-4)).toEqual(['install', '--', 'git', 'npm']);
    expect(install).toEqual(expect.arrayContaining(['--yes', '--no-install-recommends']));
  });

  it('fail where a mirror fails', async () => {
    const { install, upgrade, simulate } = await managerWith('usr/bin/apt-get');
    for (const [update] of [install(['git']), upgrade, simulate]) {
      expect(update).toContain('--option=APT::Update::Error-Mode=any');
    }
  });
});

describe('what a simulated upgrade says', () => {
  it.each([
    ['Inst libc6 [2.36-9+deb12u9] (2.36-9+deb12u10 Debian:12.10/stable [amd64])', true],
    ['Conf libc6 (2.36-9+deb12u10 Debian:12.10/stable [amd64])', false],
    ['Remv old-package [1.0]', true],
    ['Purg old-package [1.0]', true],
    ['Reading package lists...', false],
    ['The following packages will be upgraded:', false],
    ['0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.', false],
    ['Hit:1 http://deb.debian.org/debian bookworm InRelease', false],
    ['Installing is what Inst means', false],
    ['', false],
  ])('apt: %s', async (line, isWork) => {
    expect((await managerWith('usr/bin/apt-get')).isWork(line)).toBe(isWork);
  });

  it.each([
    ['bash.x86_64                5.2.37-3.fc42            updates', true],
    ['tzdata.noarch              2025b-1.fc42             updates', true],
    ['Available upgrades', false],
    ['Last metadata expiration check: 0:00:12 ago on Fri Nov 20 22:07:13 2026.', false],
    ['Updating and loading repositories:', false],
    ['Repositories loaded.', false],
    ['', false],
  ])('dnf: %s', async (line, isWork) => {
    expect((await managerWith('usr/bin/dnf')).isWork(line)).toBe(isWork);
  });
});
