/** The recipes that come with the program, and the commands of those whose mirrors tests cannot reach. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { aptSources } from '../../../src/chroot/apt-sources.ts';
import { parseRecipe, type Recipe } from '../../../src/chroot/recipe.ts';
import { repoFile, repositoriesOf } from '../../../src/chroot/sources/fedora-repositories.ts';
import { dnfArguments } from '../../../src/tools/dnf.ts';
import { bootstrapArguments } from '../../../src/tools/mmdebstrap.ts';

const shipped = join(import.meta.dirname, '../../../rootfs-recipes');
const files = readdirSync(shipped).filter((file) => file.endsWith('.yaml'));

function textOf(name: string): string {
  return readFileSync(join(shipped, `${name}.yaml`), 'utf8');
}

function recipeOf(name: string): Recipe {
  const file = join(shipped, `${name}.yaml`);
  return parseRecipe(name, file, textOf(name));
}

it('these are shipped', () => {
  expect(files.map((file) => basename(file, '.yaml'))).toEqual([
    'build-essential',
    'debian-12',
    'debian-13',
    'docker',
    'fedora-43',
    'nodejs',
    'postgresql',
    'ubuntu-24.04',
  ]);
});

describe.each(files.map((file) => basename(file, '.yaml')))('%s', (name) => {
  it('is good, says what it is, and extends what is shipped', () => {
    const { source, description } = recipeOf(name);
    expect(description).toMatch(/^(?:Debian|Ubuntu|Fedora) \d+/);
    if (source.kind === 'extends') expect(files).toContain(`${source.parent}.yaml`);
  });

  it('has what a machine needs, from itself or its parent', () => {
    const { source, packages } = recipeOf(name);
    const all = source.kind === 'extends' ? recipeOf(source.parent).packages : packages;
    const git = source.kind === 'fedora' ? 'git-core' : 'git';
    expect(all).toEqual(
      expect.arrayContaining(['systemd', 'bash', git, 'git-lfs', 'ca-certificates']),
    );
  });
});

it('ubuntu-24.04 is made from the archive and its security updates by mmdebstrap', () => {
  const { source, packages } = recipeOf('ubuntu-24.04');
  if (source.kind !== 'debian') throw new Error('It has another source.');
  expect(aptSources(source, 'http://deb.example.com/debian')).toBe(
    `Types: deb
URIs: http://archive.ubuntu.com/ubuntu
Suites: noble noble-updates
Components: main universe
Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg

Types: deb
URIs: http://security.ubuntu.com/ubuntu
Suites: noble-security
Components: main universe
Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg
`,
  );
  const { suite, aptOptions } = source;
  const place = { target: '/T/tree', sourcesFile: '/T/sources.sources' };
  expect(bootstrapArguments({ ...place, suite, packages, aptOptions })).toEqual([
    '--mode=root',
    '--variant=minbase',
    '--format=directory',
    '--verbose',
    '--dpkgopt=force-unsafe-io',
    '--include=systemd,systemd-sysv,dbus,bash,git,git-lfs,ca-certificates,procps',
    '--',
    'noble',
    '/T/tree',
    '/T/sources.sources',
  ]);
});

it("fedora-43 is made from Fedora's own repositories, with its keys, by dnf", () => {
  const { source, packages } = recipeOf('fedora-43');
  if (source.kind !== 'fedora') throw new Error('It has another source.');
  const key = '/usr/share/distribution-gpg-keys/fedora/RPM-GPG-KEY-fedora-43-primary';
  const repositories = repositoriesOf(source);
  expect(repositories.map(({ id, gpgkey }) => [id, gpgkey])).toEqual([
    ['fedora', key],
    ['updates', key],
  ]);
  expect(repoFile(repositories)).toContain('gpgcheck=1');
  const { release } = source;
  const place = {
    tree: '/T/tree',
    configFile: '/T/dnf.conf',
    reposDir: '/T/repositories',
    varsDir: '/T/dnf-variables',
  };
  expect(dnfArguments({ ...place, release, packages })).toMatchInlineSnapshot(`
    [
      "--config=/T/dnf.conf",
      "--installroot=/T/tree",
      "--releasever=43",
      "--setopt=reposdir=/T/repositories",
      "--setopt=varsdir=/T/dnf-variables",
      "--setopt=install_weak_deps=False",
      "--setopt=plugins=False",
      "--assumeyes",
      "install",
      "fedora-release-container",
      "glibc-minimal-langpack",
      "systemd",
      "dbus-broker",
      "bash",
      "coreutils",
      "findutils",
      "git-core",
      "git-lfs",
      "ca-certificates",
      "procps-ng",
      "tar",
      "gzip",
      "dnf5",
    ]
  `);
});
