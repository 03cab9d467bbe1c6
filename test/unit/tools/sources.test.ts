import { describe, expect, it } from 'vitest';
import { aptDownloadArguments } from '../../../src/tools/apt-helper.ts';
import { curlConfig } from '../../../src/tools/curl.ts';
import { debootstrapArguments } from '../../../src/tools/debootstrap.ts';
import { dnfArguments, withProcArguments } from '../../../src/tools/dnf.ts';
import { copyArguments, inspectArguments, pinnedImage } from '../../../src/tools/skopeo.ts';
import { unpackTreeArguments } from '../../../src/tools/tar.ts';
import { unpackArguments } from '../../../src/tools/umoci.ts';

it('curl is told all in its configuration, quoted', () => {
  const url = 'https://user:se"cret\\@host/[a]';
  expect(curlConfig({ url, output: '/t/a', connectTimeoutSec: 5, retries: 3 })).toBe(
    `url = "https://user:se\\"cret\\\\@host/[a]"
output = "/t/a"
globoff
fail
location
silent
show-error
proto = "=http,https,file"
proto-redir = "=http,https"
netrc-optional
retry = 3
connect-timeout = 5
speed-limit = 1
speed-time = 60
`,
  );
  const small = { url, connectTimeoutSec: 5, maxTimeSec: 15, maxBytes: 9, retries: 0 };
  expect(curlConfig(small)).toMatch(/\nmax-time = 15\nmax-filesize = 9\n$/);
  expect(curlConfig({ ...small, url: 'http://h/\noutput = "/etc/passwd"' })).not.toMatch(
    /^output/m,
  );
});

it("apt's downloader gets the recipe's options after the host's", () => {
  const what = { url: 'http://m/dists/x/InRelease', file: '/t/0', configFile: '/t/apt.conf' };
  expect(aptDownloadArguments(what)).toEqual([
    '--config-file=/t/apt.conf',
    '--option=APT::Sandbox::User=root',
    '--option=Acquire::Retries=0',
    '--option=Acquire::http::Timeout=10',
    'download-file',
    'http://m/dists/x/InRelease',
    '/t/0',
  ]);
});

describe('debootstrap', () => {
  const what = {
    suite: 'noble',
    target: '/s/tree',
    mirror: 'http://archive.ubuntu.com/ubuntu',
    components: ['main', 'universe'],
    keyring: '/k.gpg',
    script: undefined,
  };
  const args = [
    '--variant=minbase',
    '--components=main,universe',
    '--keyring=/k.gpg',
    '--force-check-gpg',
    'noble',
    '/s/tree',
    'http://archive.ubuntu.com/ubuntu',
  ];

  it('makes one suite of one mirror', () => {
    expect(debootstrapArguments(what)).toEqual(args);
  });

  it('is told what to do for a suite that is younger than itself', () => {
    expect(debootstrapArguments({ ...what, script: 'gutsy' })).toEqual([...args, 'gutsy']);
  });
});

it('dnf takes nothing from this host and sees /proc in the tree', () => {
  const args = dnfArguments({
    tree: '/s/tree',
    release: '42',
    configFile: '/t/dnf.conf',
    reposDir: '/t/repos',
    varsDir: '/t/vars',
    packages: ['systemd', 'git'],
  });
  expect(args).toEqual([
    '--config=/t/dnf.conf',
    '--installroot=/s/tree',
    '--releasever=42',
    '--setopt=reposdir=/t/repos',
    '--setopt=varsdir=/t/vars',
    '--setopt=install_weak_deps=False',
    '--setopt=plugins=False',
    '--assumeyes',
    'install',
    'systemd',
    'git',
  ]);
  expect(withProcArguments('/s/tree', ['dnf', ...args]).slice(0, 5)).toEqual([
    '--mount',
    '--mount-proc=/s/tree/proc',
    '--',
    'dnf',
    '--config=/t/dnf.conf',
  ]);
});

describe('skopeo', () => {
  const image = { image: 'docker://debian:bookworm', authFile: undefined, tlsVerify: true };
  const into = { layout: '/t/image', tag: 'tree' };

  it.each([
    [
      'copies into a layout',
      copyArguments({ ...image, ...into, hasPolicy: true }),
      [
        'copy',
        '--retry-times=2',
        '--dest-compress-format=gzip',
        '--',
        'docker://debian:bookworm',
        'oci:/t/image:tree',
      ],
    ],
    [
      'has credentials in a file only, and a policy where the host has none',
      copyArguments({ ...image, ...into, authFile: '/a.json', tlsVerify: false, hasPolicy: false }),
      [
        '--insecure-policy',
        'copy',
        '--src-authfile=/a.json',
        '--src-tls-verify=false',
        '--retry-times=2',
        '--dest-compress-format=gzip',
        '--',
        'docker://debian:bookworm',
        'oci:/t/image:tree',
      ],
    ],
    [
      'looks without fetching',
      inspectArguments({ ...image, authFile: '/a.json', tlsVerify: false }, '--raw'),
      [
        'inspect',
        '--raw',
        '--no-tags',
        '--authfile=/a.json',
        '--tls-verify=false',
        '--',
        image.image,
      ],
    ],
  ])('%s', (_, args, expected) => {
    expect(args).toEqual(expected);
  });

  it.each([
    ['docker://debian', 'docker://debian@sha256:1'],
    ['docker://debian:bookworm', 'docker://debian@sha256:1'],
    ['docker://registry:5000/a/b', 'docker://registry:5000/a/b@sha256:1'],
    ['docker://registry:5000/a/b:tag', 'docker://registry:5000/a/b@sha256:1'],
    ['docker://a/b@sha256:2', 'docker://a/b@sha256:1'],
    ['docker://a/b:tag@sha256:2', 'docker://a/b@sha256:1'],
  ])('%s is pinned as %s', (name, expected) => {
    expect(pinnedImage(name, 'sha256:1')).toBe(expected);
  });
});

it('umoci unpacks into the tree itself', () => {
  expect(unpackArguments({ layout: '/t/image', tag: 'tree', tree: '/s/tree' })).toEqual([
    'raw',
    'unpack',
    '--image=/t/image:tree',
    '/s/tree',
  ]);
});

it('tar keeps owners, modes, attributes and lists, but nothing that an overlay would obey', () => {
  expect(unpackTreeArguments({ archive: '/t/a', tree: '/s/tree', stripComponents: 1 })).toEqual([
    '--extract',
    '--file=/t/a',
    '--directory=/s/tree',
    '--numeric-owner',
    '--same-owner',
    '--same-permissions',
    '--delay-directory-restore',
    '--acls',
    '--xattrs',
    '--xattrs-include=*',
    '--xattrs-exclude=trusted.overlay.*',
    '--xattrs-exclude=security.selinux',
    '--strip-components=1',
  ]);
});
