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
    const { install, upgrade, refresh, look, clean } = await managerWith(path);
    const all = [install(['git=1.0']), upgrade, refresh(['git=1.0']), look.commands, clean];
    for (const [program] of all.flat()) {
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
    const { install, upgrade, refresh, look } = await managerWith('usr/bin/apt-get');
    for (const [update] of [install(['git']), upgrade, refresh([]), look.commands]) {
      expect(update).toContain('--option=APT::Update::Error-Mode=any');
    }
  });

  it('keep a package at the version that the recipe gives', async () => {
    const { install, refresh } = await managerWith('usr/bin/apt-get');
    const packages = ['git', 'curl=7.88.1-10', 'libc6:i386=2.36', 'nodejs/trixie-backports'];
    const names = ['--', 'curl', 'libc6:i386'];
    const hold = ['/usr/bin/apt-mark', '--quiet', 'hold', ...names];
    const [, unheld, installed, held] = install(packages, new Set(['libc6:i386', 'git']));
    expect(unheld).toEqual(['/usr/bin/apt-mark', '--quiet', 'unhold', '--', 'libc6:i386']);
    expect(install(packages).flat()).not.toContain('unhold');
    expect(installed?.slice(-7)).toEqual(['--allow-downgrades', 'install', '--', ...packages]);
    expect(held).toEqual(hold);
    const [update, before, upgrade] = refresh(packages);
    expect([update?.at(-1), before, upgrade?.at(-1)]).toEqual(['update', hold, 'dist-upgrade']);
    expect(install(['git'])).toHaveLength(2);
    expect(refresh(['git'])).toHaveLength(2);
  });

  it.each([[['git']], [['git', 'curl=7.88.1-10']]])(
    'change no other package that is held: %j',
    async (packages) => {
      const { install } = await managerWith('usr/bin/apt-get');
      expect(install(packages).flat()).not.toContain('--allow-change-held-packages');
    },
  );
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
    expect((await managerWith('usr/bin/apt-get')).look.isWork(line)).toBe(isWork);
  });

  it.each([
    ['Err:3 file:/srv/repo ./ Packages', false],
    ['W: Failed to fetch http://mirror.example.com/debian/dists/bookworm/InRelease', true],
    ['W: Some index files failed to download. They have been ignored, or old ones used.', true],
    ['W: Conflicting distribution: file:/srv/repo ./ Release', false],
    ['Get:1 http://deb.debian.org/debian bookworm InRelease [151 kB]', false],
    ['Ign:2 file:/srv/repo ./ InRelease', false],
  ])('apt, which has not read it all: %s', async (line, isMiss) => {
    expect((await managerWith('usr/bin/apt-get')).look.isMiss(line)).toBe(isMiss);
  });

  it.each([
    ['deb.debian.org_debian_dists_bookworm_InRelease', true],
    ['deb.debian.org_debian_dists_bookworm_main_binary-amd64_Packages.lz4', true],
    ['_srv_repo_._Packages', true],
    ['lock', false],
    ['partial', false],
    ['auxfiles', false],
  ])('apt, which keeps its lists: %s', async (name, isList) => {
    expect((await managerWith('usr/bin/apt-get')).look.isList(name)).toBe(isList);
  });

  it('dnf: by its exit status, and fails without a repository', async () => {
    const { look } = await managerWith('usr/bin/dnf');
    expect(look.workStatus).toBe(100);
    expect(look.commands).toEqual([
      [
        ...['/usr/bin/dnf', '--quiet', '--setopt=*.skip_if_unavailable=0', '--refresh'],
        'check-update',
      ],
    ]);
  });

  it('apt: by its lines, since it fails with exit status 100', async () => {
    expect((await managerWith('usr/bin/apt-get')).look.workStatus).toBeUndefined();
  });
});
