import { machine } from 'node:os';
import { describe, expect, it } from 'vitest';
import { repoFile, repositoriesOf } from '../../../../src/chroot/sources/fedora-repositories.ts';
import { rpmDatabase } from '../../../../src/chroot/sources/fedora.ts';
import type { FedoraSource } from '../../../../src/chroot/source.ts';

const fedora: FedoraSource = {
  kind: 'fedora',
  release: '42',
  repositories: [],
  keyring: '/keys/RPM-GPG-KEY-fedora-$releasever-primary',
};

describe('the repositories of a Fedora tree', () => {
  it("are Fedora's release and its updates, checked with the keys of the release", () => {
    const metalink = `https://mirrors.fedoraproject.org/metalink?arch=${machine()}&repo=`;
    expect(repoFile(repositoriesOf(fedora))).toBe(`[fedora]
name=fedora
metalink=${metalink}fedora-42
enabled=1
gpgcheck=1
gpgkey=file:///keys/RPM-GPG-KEY-fedora-42-primary

[updates]
name=updates
metalink=${metalink}updates-released-f42
enabled=1
gpgcheck=1
gpgkey=file:///keys/RPM-GPG-KEY-fedora-42-primary
`);
  });

  it("are the recipe's alone where it names some; unchecked only where it says so", () => {
    const repositories = [
      {
        id: 'base',
        baseurl: 'http://m/$releasever/$basearch/',
        metalink: undefined,
        gpgkey: 'https://m/key',
      },
      { id: 'own', baseurl: 'file:///srv/own', metalink: undefined, gpgkey: undefined },
    ];
    expect(repoFile(repositoriesOf({ ...fedora, release: '9', repositories }))).toBe(`[base]
name=base
baseurl=http://m/9/${machine()}/
enabled=1
gpgcheck=1
gpgkey=https://m/key

[own]
name=own
baseurl=file:///srv/own
enabled=1
gpgcheck=0
`);
  });
});

it.each([
  ['42', '/usr/lib/sysimage/rpm'],
  ['36', '/usr/lib/sysimage/rpm'],
  ['rawhide', '/usr/lib/sysimage/rpm'],
  ['10', '/usr/lib/sysimage/rpm'],
  ['35', '/var/lib/rpm'],
  ['9.4', '/var/lib/rpm'],
  ['8', '/var/lib/rpm'],
])('release %s has its packages listed in %s', (release, expected) => {
  expect(rpmDatabase(release)).toBe(expected);
});
