/** Trees that package managers make: dnf from a repository of our own, debootstrap from Debian's mirror. */
import { execa } from 'execa';
import { access, lstat, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeSourceTree, upstreamState } from '../../src/chroot/source-tree.ts';
import type { DebianSource, FedoraSource, RpmRepository } from '../../src/chroot/source.ts';
import { CommandError } from '../../src/errors.ts';
import { renderError } from '../../src/render-error.ts';
import { failure } from './failure.ts';
import { makeRpmRepository } from './rpm-repository.ts';
import { hasSourcePackages } from './source-packages.ts';
import { makeSite, type TestSite } from './source-site.ts';

const SHA256 = /^[0-9a-f]{64}$/;
const RPM_PACKAGES = ['dnf', 'rpm', 'createrepo-c', 'gpg', 'gpg-agent', 'curl'];

let site: TestSite;
beforeEach(async () => {
  site = await makeSite();
});
afterEach(() => site.remove());

describe.runIf(await hasSourcePackages(...RPM_PACKAGES))('fedora', () => {
  const fedoraOf = (repository: Partial<RpmRepository>): FedoraSource => ({
    kind: 'fedora',
    release: '42',
    keyring: '/nowhere',
    repositories: [
      { id: 'test', baseurl: undefined, metalink: undefined, gpgkey: undefined, ...repository },
    ],
  });

  it('packages, what they need and no more, with scriptlets that find /proc and /dev', async () => {
    const { baseurl, key } = await makeRpmRepository(site.dir);
    const source = fedoraOf({ baseurl, gpgkey: key });
    const made = await makeSourceTree(source, { ...site, packages: ['tool'] });
    expect(made).toMatchObject({ packagesInstalled: true, facts: { release: '42' } });
    expect(await readFile(join(site.tree, 'etc/seen'), 'utf8')).toBe('proc null');
    expect((await lstat(join(site.tree, 'usr/bin/tool'))).mode & 0o7777).toBe(0o4755);
    const { stdout } = await execa('rpm', [
      `--root=${site.tree}`,
      '--define=_dbpath /usr/lib/sysimage/rpm',
      '--query',
      '--all',
      '--queryformat=%{NAME}\n',
    ]);
    expect(
      stdout
        .split('\n')
        .filter((name) => name !== 'gpg-pubkey')
        .sort(),
    ).toEqual(['filesystem', 'tool']);
    expect(await readdir(join(site.tree, 'proc'))).toEqual([]);
    expect(await readdir(site.tree)).not.toContain('root');
    expect(await readdir(join(site.tree, 'var/log')).catch(() => [])).toEqual([]);
    expect(await readdir(join(site.tree, 'var/cache')).catch(() => [])).toEqual([]);
    expect(await readFile('/proc/self/mountinfo', 'utf8')).not.toContain(site.dir);
  });

  it('new packages are seen without fetching them', async () => {
    const { baseurl } = await makeRpmRepository(site.dir);
    const before = await upstreamState(fedoraOf({ baseurl }), site);
    expect(before).toMatch(SHA256);
    expect(await upstreamState(fedoraOf({ baseurl }), site)).toBe(before);
    await writeFile(join(site.dir, 'repository/repodata/repomd.xml'), '<repomd/>');
    expect(await upstreamState(fedoraOf({ baseurl }), site)).not.toBe(before);
  });

  it('packages of another key are refused', async () => {
    const { baseurl } = await makeRpmRepository(site.dir);
    const other = await makeSite();
    const { key } = await makeRpmRepository(other.dir);
    const source = fedoraOf({ baseurl, gpgkey: key });
    const text = renderError(
      await failure(makeSourceTree(source, { ...site, packages: ['tool'] })),
    );
    expect(text).toMatch(/dnf ended with exit status 1[\s\S]*GPG check FAILED/);
    await other.remove();
  });

  it("a mirror that cannot be reached is told with dnf's lines", async () => {
    const source = fedoraOf({ baseurl: 'http://127.0.0.1:9/fedora/$releasever/$basearch' });
    const error = await failure(makeSourceTree(source, site));
    expect(error).toBeInstanceOf(CommandError);
    const text = renderError(error);
    expect(text).toContain('dnf ended with exit status 1.');
    expect(text).toMatch(/\| .*(?:Failed to download metadata|Cannot download repomd\.xml)/);
    expect(await upstreamState(source, site)).toBeUndefined();
  });

  it('a key that is not there is told with the package that has it', async () => {
    const source = { ...fedoraOf({}), repositories: [] };
    expect(renderError(await failure(makeSourceTree(source, site)))).toMatch(
      /^Key "\/nowhere" of repository "fedora" is not on this host.\n.*\nInstall distribution-gpg-keys/,
    );
  });
});

describe.runIf(await hasSourcePackages('debootstrap', 'debian-archive-keyring'))('debian', () => {
  const bookworm: DebianSource = {
    kind: 'debian',
    distribution: 'debian',
    suite: 'bookworm',
    mirror: undefined,
    securityMirror: undefined,
    components: ['main'],
    keyring: '/usr/share/keyrings/debian-archive-keyring.gpg',
    extraSources: undefined,
    aptOptions: ['Acquire::Retries "1"', 'Acquire::Check-Valid-Until "false"'],
    tool: 'debootstrap',
  };

  it("debootstrap and then the tree's own apt make what mmdebstrap would", async () => {
    const made = await makeSourceTree(bookworm, { ...site, packages: ['tree', 'cron'] });
    expect(made.packagesInstalled).toBe(true);
    expect(made.facts).toMatchObject({ suite: 'bookworm', mirror: 'http://deb.debian.org/debian' });
    expect(made.facts['tool']).toMatch(/^debootstrap 1/);
    await access(join(site.tree, 'usr/bin/tree'));
    const apt = join(site.tree, 'etc/apt');
    expect(await readdir(join(apt, 'sources.list.d'))).toEqual(['debian.sources']);
    expect(await readdir(apt)).not.toContain('sources.list');
    expect(await readFile(join(apt, 'apt.conf.d/99nspawn-runner'), 'utf8')).toBe(
      'Acquire::Retries "1";\nAcquire::Check-Valid-Until "false";\n',
    );
    expect(await readdir(join(site.tree, 'var/lib/apt/lists'))).toEqual([]);
    expect(await readdir(join(site.tree, 'var/cache/apt/archives'))).not.toContain('tree');
    expect(await readdir(join(site.tree, 'usr/sbin'))).not.toContain('policy-rc.d');
    expect(await readdir(join(site.tree, 'proc'))).toEqual([]);
    expect(await readdir(join(site.tree, 'run'))).not.toContain('crond.pid');
    expect(await readFile('/proc/self/mountinfo', 'utf8')).not.toContain(site.dir);
  }, 400_000);

  it('what the mirror offers is told quickly, and stays the same', async () => {
    const startedAt = performance.now();
    const before = await upstreamState(bookworm, site);
    expect(performance.now() - startedAt).toBeLessThan(60_000);
    expect(before).toMatch(SHA256);
    expect(await upstreamState(bookworm, site)).toBe(before);
    expect(await readdir(site.tempDir)).toEqual([]);
  });

  it('a mirror of files is looked at like others; one that is gone cannot be told', async () => {
    const mirror = `file://${site.dir}/mirror`;
    const source = { ...bookworm, suite: 'sid', mirror };
    expect(await upstreamState(source, site)).toBeUndefined();
    await execa('mkdir', ['--parents', join(site.dir, 'mirror/dists/sid')]);
    await writeFile(join(site.dir, 'mirror/dists/sid/Release'), 'Suite: sid\n');
    const old = await upstreamState(source, site);
    expect(old).toMatch(SHA256);
    await writeFile(join(site.dir, 'mirror/dists/sid/InRelease'), 'Suite: sid, signed\n');
    expect(await upstreamState(source, site)).not.toBe(old);
  });

  it('a keyring that is not there is told with the package that has it', async () => {
    const ubuntu = { ...bookworm, distribution: 'ubuntu', keyring: '/nowhere.gpg' } as const;
    expect(renderError(await failure(makeSourceTree(ubuntu, site)))).toMatch(
      /^Keyring "\/nowhere.gpg" is not on this host.\n.*\nInstall ubuntu-keyring/,
    );
    const extraSources =
      'Types: deb\nURIs: http://x\nSuites: x\nComponents: x\nSigned-By: /extra.gpg\n';
    expect(renderError(await failure(makeSourceTree({ ...bookworm, extraSources }, site)))).toMatch(
      /^Keyring "\/extra.gpg" is not on this host.\n.*\nPut it there/,
    );
  });

  it("an Ubuntu mirror that cannot be reached is told with the tool's lines", async () => {
    const ubuntu: DebianSource = {
      ...bookworm,
      distribution: 'ubuntu',
      suite: 'noble',
      components: ['main', 'universe'],
      mirror: 'http://127.0.0.1:9/ubuntu',
      tool: 'auto',
    };
    expect(renderError(await failure(makeSourceTree(ubuntu, site)))).toMatch(
      /mmdebstrap ended with exit status \d+[\s\S]*Could not connect to 127\.0\.0\.1:9/,
    );
    expect(site.steps).toEqual(['installing Ubuntu noble']);
    const old = await makeSite();
    const error = await failure(makeSourceTree({ ...ubuntu, tool: 'debootstrap' }, old));
    expect(renderError(error)).toMatch(/debootstrap ended with exit status 1[\s\S]*127\.0\.0\.1:9/);
    await old.remove();
  });
});
