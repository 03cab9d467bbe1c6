/** Trees from archives and images: what comes, what is refused, and that nothing leaves the tree. */
import { execa } from 'execa';
import { existsSync } from 'node:fs';
import {
  chmod,
  chown,
  copyFile,
  lstat,
  mkdir,
  readFile,
  readdir,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeSourceTree, upstreamState } from '../../src/chroot/source-tree.ts';
import type { OciSource, TarSource } from '../../src/chroot/source.ts';
import { CommandError, Stopped } from '../../src/errors.ts';
import { renderError } from '../../src/render-error.ts';
import { failure } from './failure.ts';
import { makeOciLayout } from './oci-layout.ts';
import { makeSite, type TestSite } from './source-site.ts';
import { hasSourcePackages } from './source-packages.ts';
import { writeArchive, type Member } from './tar-archive.ts';

const ROOT: readonly Member[] = ['etc', 'usr', 'var'].map((name) => ({ name, type: 'directory' }));
const SHA256 = /^[0-9a-f]{64}$/;

let site: TestSite;
beforeEach(async () => {
  site = await makeSite();
});
afterEach(() => site.remove());

const tarOf = (location: string, more: Partial<TarSource> = {}): TarSource => ({
  kind: 'tar',
  location,
  sha256: undefined,
  signature: undefined,
  keyring: undefined,
  stripComponents: 0,
  ...more,
});

/** Told as a build tells it. */
async function told(work: Promise<unknown>): Promise<string> {
  return renderError(await failure(work));
}

/** A root file system with what is easily lost. */
async function makeRoot(dir: string): Promise<void> {
  for (const name of ['etc', 'usr/bin', 'var', 'opt'])
    await mkdir(join(dir, name), { recursive: true });
  await writeFile(join(dir, 'etc/os-release'), 'ID=test\n');
  await writeFile(join(dir, 'etc/shadow'), 'root:*:::::::\n', { mode: 0o640 });
  await chown(join(dir, 'etc/shadow'), 0, 4242);
  await copyFile('/bin/true', join(dir, 'usr/bin/true'));
  await copyFile('/bin/true', join(dir, 'usr/bin/ping'));
  await chmod(join(dir, 'usr/bin/true'), 0o4755);
  await execa('setcap', ['cap_net_raw+ep', join(dir, 'usr/bin/ping')]);
  await execa('setfacl', ['--modify=user:4243:rwx', join(dir, 'opt')]);
  await execa('ln', [join(dir, 'usr/bin/true'), join(dir, 'usr/bin/wahr')]);
}

async function expectRoot(tree: string): Promise<void> {
  const { mode, uid } = await lstat(tree);
  expect([mode & 0o7777, uid]).toEqual([0o755, 0]);
  const shadow = await lstat(join(tree, 'etc/shadow'));
  expect([shadow.mode & 0o7777, shadow.gid]).toEqual([0o640, 4242]);
  expect((await lstat(join(tree, 'usr/bin/true'))).mode & 0o7777).toBe(0o4755);
  const { stdout } = await execa('getcap', [join(tree, 'usr/bin/ping')]);
  expect(stdout).toContain('cap_net_raw=ep');
  expect((await lstat(join(tree, 'usr/bin/wahr'))).ino).toBe(
    (await lstat(join(tree, 'usr/bin/true'))).ino,
  );
}

describe.runIf(await hasSourcePackages('libcap2-bin', 'acl', 'xz-utils', 'zstd', 'bzip2', 'curl'))(
  'tar',
  () => {
    const archived = async (...options: string[]): Promise<string> => {
      const root = join(site.dir, 'root');
      await makeRoot(root);
      await chmod(root, 0o700);
      const archive = join(site.dir, 'root.tar');
      const all = ['--numeric-owner', '--xattrs', '--xattrs-include=*', '--acls', ...options];
      await execa('tar', ['--create', `--file=${archive}`, `--directory=${root}`, ...all, '.']);
      return archive;
    };

    it.each(['--no-auto-compress', '--gzip', '--xz', '--zstd', '--bzip2'])(
      'a tree comes as it was packed: %s',
      async (compression) => {
        const archive = await archived(compression);
        const made = await makeSourceTree(tarOf(archive), site);
        await expectRoot(site.tree);
        const { stdout } = await execa('getfacl', ['--absolute-names', join(site.tree, 'opt')]);
        expect(stdout).toContain('user:4243:rwx');
        expect(made).toMatchObject({ packagesInstalled: false, facts: { location: archive } });
        expect(made.facts['sha256']).toMatch(SHA256);
        expect(await upstreamState(tarOf(archive), site)).toBe(made.facts['sha256']);
        expect(await readdir(site.tempDir)).toEqual([]);
      },
    );

    it('a URL of file:// is one like others, and a directory above the root is stripped', async () => {
      const archive = join(site.dir, 'r.tar');
      await writeArchive(
        archive,
        ROOT.map(({ name, type }) => ({ name: `r/${name}`, ...(type && { type }) })),
      );
      const { stdout } = await execa('sha256sum', [archive]);
      const sha256 = stdout.slice(0, 64);
      await makeSourceTree(tarOf(`file://${archive}`, { sha256, stripComponents: 1 }), site);
      expect(await readdir(site.tree)).toEqual(['etc', 'usr', 'var']);
      expect(site.steps[0]).toBe(`downloading file://${archive}`);
    });

    it('another sum than the one of the recipe is refused, with both, before anything is unpacked', async () => {
      const archive = await archived();
      const sha256 = '0'.repeat(64);
      const text = await told(makeSourceTree(tarOf(archive, { sha256 }), site));
      expect(text).toMatch(
        /is not the archive that the recipe means.\n {2}sha256 in the recipe: 0{64}\n {2}sha256 of the archive: [0-9a-f]{64}\n/,
      );
      expect(await readdir(site.tree)).toEqual([]);
    });

    it('what is not there is told by its name', async () => {
      expect(await told(makeSourceTree(tarOf('/nowhere/root.tar'), site))).toContain(
        '"/nowhere/root.tar" cannot be read.',
      );
      const error = await failure(makeSourceTree(tarOf('http://127.0.0.1:9/a:b@root.tar'), site));
      expect(error).toBeInstanceOf(CommandError);
      expect(renderError(error)).toMatch(
        /curl ended with exit status 7[\s\S]*\| curl: \(7\) Failed to connect/,
      );
      expect(await upstreamState(tarOf('/nowhere/root.tar'), site)).toBeUndefined();
    });

    it('credentials of a URL are in no argument, message, step or fact', async () => {
      const url = 'http://somebody:s3cret@127.0.0.1:9/root.tar';
      const error = await failure(makeSourceTree(tarOf(url), site));
      expect(renderError(error) + site.steps.join('\n') + site.lines.join('\n')).not.toContain(
        's3cret',
      );
    });

    it('what is no root file system is refused', async () => {
      const archive = join(site.dir, 'r.tar');
      await writeArchive(archive, [{ name: 'root', type: 'directory' }, { name: 'readme' }]);
      expect(await told(makeSourceTree(tarOf(archive), site))).toContain(
        'The source has no directory "/etc", so it is no root file system.\n  It has: readme, root.\n',
      );
    });

    it('devices of /dev stay behind, also where /dev is a link', async () => {
      const archive = join(site.dir, 'r.tar');
      await writeArchive(archive, [
        ...ROOT,
        { name: 'dev', type: 'directory' },
        { name: 'dev/null', type: 'device' },
        { name: 'dev/a/', type: 'directory' },
        { name: 'dev/a/b', type: 'device' },
      ]);
      await makeSourceTree(tarOf(archive), site);
      expect(await readdir(join(site.tree, 'dev'), { recursive: true })).toEqual(['a']);
      const other = await makeSite();
      await writeArchive(archive, [...ROOT, { name: 'dev', type: 'symlink', target: '/dev' }]);
      await makeSourceTree(tarOf(archive), other);
      expect(existsSync('/dev/null')).toBe(true);
      await other.remove();
    });

    it('a build that is told to stop stops, also in the middle of a download', async () => {
      const stop = new AbortController();
      const how = { ...site.how, signal: stop.signal };
      await execa('mkfifo', [join(site.dir, 'slow')]);
      const work = makeSourceTree(tarOf(`file://${site.dir}/slow`), { ...site, how });
      setTimeout(() => stop.abort(), 500);
      expect(await failure(work)).toBeInstanceOf(Stopped);
    });
  },
);

describe('tar: hostile archives', () => {
  const outside = (): string => join(site.dir, 'outside');
  const hostile: readonly (readonly [string, () => readonly Member[]])[] = [
    ['a name with ".."', () => [{ name: '../../outside/evil' }]],
    ['a name with ".." further on', () => [{ name: 'etc/../../../outside/evil' }]],
    [
      'a name below an absolute link',
      () => [{ name: 'a', type: 'symlink', target: outside() }, { name: 'a/evil' }],
    ],
    [
      'a name below a link with ".."',
      () => [{ name: 'a', type: 'symlink', target: '../../outside' }, { name: 'a/evil' }],
    ],
    [
      'a name below two links',
      () => [
        { name: 'etc/a', type: 'symlink', target: '..' },
        { name: 'etc/a/b', type: 'symlink', target: '..' },
        { name: 'etc/a/b/outside/evil' },
      ],
    ],
    [
      'a hard link to an absolute path',
      () => [
        { name: 'etc/h', type: 'hardlink', target: `${outside()}/secret` },
        { name: 'etc/h', content: 'overwritten' },
      ],
    ],
    [
      'a hard link with ".."',
      () => [{ name: 'etc/h', type: 'hardlink', target: '../../outside/secret' }],
    ],
    [
      'a hard link through a link',
      () => [
        { name: 'a', type: 'symlink', target: outside() },
        { name: 'h', type: 'hardlink', target: 'a/secret' },
      ],
    ],
    [
      'a root directory that is a link',
      () => [{ name: 'mnt', type: 'symlink', target: outside() }, { name: 'mnt/evil' }],
    ],
  ];

  it.each(hostile)('%s', async (_, members) => {
    await mkdir(outside());
    await writeFile(join(outside(), 'secret'), 'secret');
    const archive = join(site.dir, 'hostile.tar');
    await writeArchive(archive, [...ROOT, ...members()]);
    expect(await told(makeSourceTree(tarOf(archive), site))).toContain(
      `"${archive}" has members that lead out of the tree or through links.`,
    );
    await expectUntouched();
  });

  it.each([
    [
      'a file over a link',
      [
        { name: 'a', type: 'symlink', target: '/etc/hostname' },
        { name: 'a', content: 'overwritten' },
      ],
    ],
    ['an absolute name', [{ name: '/var/tmp/evil' }]],
  ] as const)('%s stays in the tree', async (_, members) => {
    await mkdir(outside());
    await writeFile(join(outside(), 'secret'), 'secret');
    const archive = join(site.dir, 'hostile.tar');
    await writeArchive(archive, [...ROOT, ...members]);
    await makeSourceTree(tarOf(archive), site);
    await expectUntouched();
  });

  it.each(['etc', 'usr', 'var'])('a link in the place of /%s is refused', async (name) => {
    const archive = join(site.dir, 'hostile.tar');
    const members = ROOT.filter((member) => member.name !== name);
    await writeArchive(archive, [...members, { name, type: 'symlink', target: `/${name}` }]);
    expect(await told(makeSourceTree(tarOf(archive), site))).toContain(
      `The source has no directory "/${name}", so it is no root file system.`,
    );
  });

  async function expectUntouched(): Promise<void> {
    expect(await readdir(outside())).toEqual(['secret']);
    expect(await readFile(join(outside(), 'secret'), 'utf8')).toBe('secret');
    expect((await lstat(join(outside(), 'secret'))).nlink).toBe(1);
    expect(existsSync('/var/tmp/evil')).toBe(false);
  }
});

describe.runIf(await hasSourcePackages('gpg', 'gpg-agent', 'gpgv'))('tar: signatures', () => {
  const gpg = async (...args: string[]): Promise<void> => {
    const home = join(site.dir, 'gnupg');
    await mkdir(home, { recursive: true, mode: 0o700 });
    await execa('gpg', [`--homedir=${home}`, '--batch', '--yes', '--quiet', ...args]);
  };
  const signed = async (): Promise<TarSource> => {
    const archive = join(site.dir, 'root.tar');
    await writeArchive(archive, ROOT);
    await gpg(
      '--passphrase=',
      '--quick-generate-key',
      'maker@example.com',
      'ed25519',
      'sign',
      'never',
    );
    await gpg('--detach-sign', `--output=${archive}.sig`, archive);
    await gpg(`--output=${site.dir}/keys.gpg`, '--export');
    await gpg('--armor', `--output=${site.dir}/keys.asc`, '--export');
    return tarOf(archive, { signature: `${archive}.sig`, keyring: join(site.dir, 'keys.gpg') });
  };

  it('a good one is recorded with its key, of a binary or an armored keyring', async () => {
    const source = await signed();
    const { facts } = await makeSourceTree(source, site);
    expect(facts['signedBy']).toMatch(/^[0-9A-F]{40}$/);
    expect(await upstreamState(tarOf('https://x.example.com/', source), site)).toMatch(SHA256);
    const other = await makeSite();
    const armored = await makeSourceTree({ ...source, keyring: join(site.dir, 'keys.asc') }, other);
    expect(armored.facts['signedBy']).toBe(facts['signedBy']);
    await other.remove();
  });

  it('one of a changed archive, of another key, and one that is none are refused', async () => {
    const source = await signed();
    const refused = async (source: TarSource): Promise<void> => {
      const other = await makeSite();
      const text = await told(makeSourceTree(source, other));
      expect(text).toContain(`"${source.location}" is not signed by a key of "`);
      expect(await readdir(other.tree)).toEqual([]);
      await other.remove();
    };
    await refused({ ...source, keyring: '/usr/share/keyrings/debian-archive-keyring.gpg' });
    await refused({ ...source, signature: source.location });
    await writeArchive(source.location, [...ROOT, { name: 'evil' }]);
    await refused(source);
  });
});

describe.runIf(await hasSourcePackages('skopeo', 'umoci', 'libcap2-bin', 'acl', 'zstd'))(
  'oci',
  () => {
    const ociOf = (more: Partial<OciSource> = {}): OciSource => ({
      kind: 'oci',
      image: `oci:${site.dir}/layout:latest`,
      digest: undefined,
      authFile: undefined,
      tlsVerify: true,
      ...more,
    });
    const layout = async (): Promise<string> => {
      const layers = ['lower', 'upper'].map((name) => join(site.dir, name));
      const [lower = '', upper = ''] = layers;
      await makeRoot(lower);
      await writeFile(join(lower, 'etc/gone'), '');
      await writeFile(join(lower, 'etc/changed'), 'lower');
      await mkdir(join(lower, 'opt/opaque'));
      await writeFile(join(lower, 'opt/opaque/gone'), '');
      await mkdir(join(upper, 'opt/opaque'), { recursive: true });
      await mkdir(join(upper, 'etc'));
      await writeFile(join(upper, 'etc/.wh.gone'), '');
      await writeFile(join(upper, 'etc/changed'), 'upper');
      await writeFile(join(upper, 'opt/opaque/.wh..wh..opq'), '');
      const environment = ['PATH=/opt/bin:/usr/bin', 'EMPTY=', 'no name', 'LINES=a\nb'];
      return makeOciLayout({
        layout: join(site.dir, 'layout'),
        tag: 'latest',
        layers,
        environment,
      });
    };

    it('the layers become one tree, with what the image says of its processes', async () => {
      const digest = await layout();
      const made = await makeSourceTree(ociOf({ digest }), site);
      await expectRoot(site.tree);
      expect(await readdir(join(site.tree, 'etc'))).toEqual(['changed', 'os-release', 'shadow']);
      expect(await readFile(join(site.tree, 'etc/changed'), 'utf8')).toBe('upper');
      expect(await readdir(join(site.tree, 'opt/opaque'))).toEqual([]);
      expect(made).toEqual({
        facts: { image: ociOf().image, digest },
        packagesInstalled: false,
        environment: { PATH: '/opt/bin:/usr/bin', EMPTY: '' },
      });
      expect(await readdir(site.tempDir)).toEqual([]);
    });

    it('links of a layer lead nowhere but into the tree', async () => {
      const outside = join(site.dir, 'outside');
      await mkdir(outside);
      await writeFile(join(outside, 'secret'), 'secret');
      const layers = ['1.tar', '2.tar'].map((name) => join(site.dir, name));
      const [first = '', second = ''] = layers;
      await writeArchive(first, [
        ...ROOT,
        { name: 'a', type: 'symlink', target: outside },
        { name: 'b', type: 'symlink', target: '../../outside' },
      ]);
      await writeArchive(second, [
        { name: 'a/evil', content: 'x' },
        { name: 'a/.wh.secret' },
        { name: 'b/evil', content: 'x' },
        { name: 'b/.wh.secret' },
        { name: 'h', type: 'hardlink', target: 'a/secret' },
      ]);
      await makeOciLayout({ layout: join(site.dir, 'layout'), tag: 'latest', layers });
      await makeSourceTree(ociOf(), site).catch((error: unknown) => {
        expect(renderError(error)).toContain('umoci ended with exit status 1');
      });
      expect(await readdir(outside)).toEqual(['secret']);
      expect((await lstat(join(outside, 'secret'))).nlink).toBe(1);
    });

    it('layers that were compressed with zstd come too', async () => {
      const layers = [join(site.dir, '1.tar')];
      await writeArchive(join(site.dir, '1.tar'), ROOT);
      const into = { layout: join(site.dir, 'layout'), tag: 'latest', layers };
      const digest = await makeOciLayout({ ...into, compression: 'zstd' });
      const { facts } = await makeSourceTree(ociOf({ digest }), site);
      expect(facts['digest']).toBe(digest);
      expect(await readdir(site.tree)).toEqual(['etc', 'usr', 'var']);
    });

    it('devices of /dev stay behind', async () => {
      const layers = [join(site.dir, '1.tar')];
      await writeArchive(join(site.dir, '1.tar'), [
        ...ROOT,
        { name: 'dev', type: 'directory' },
        { name: 'dev/null', type: 'device' },
      ]);
      await makeOciLayout({ layout: join(site.dir, 'layout'), tag: 'latest', layers });
      await makeSourceTree(ociOf(), site);
      expect(await readdir(join(site.tree, 'dev'))).toEqual([]);
    });

    it('another image than the one of the recipe is refused, with both digests', async () => {
      const found = await layout();
      const digest = `sha256:${'0'.repeat(64)}`;
      const text = await told(makeSourceTree(ociOf({ digest }), site));
      expect(text).toContain(`Digest that is meant: ${digest}\n  Digest of the image: ${found}\n`);
      expect(await readdir(site.tree)).toEqual([]);
    });

    it('a new image is seen without fetching it', async () => {
      await layout();
      const before = await upstreamState(ociOf(), site);
      expect(before).toMatch(SHA256);
      expect(await upstreamState(ociOf(), site)).toBe(before);
      await execa('rm', [
        '--recursive',
        '--',
        join(site.dir, 'layout'),
        join(site.dir, 'lower'),
        join(site.dir, 'upper'),
      ]);
      await mkdir(join(site.dir, 'upper'));
      await makeOciLayout({
        layout: join(site.dir, 'layout'),
        tag: 'latest',
        layers: [join(site.dir, 'upper')],
      });
      const after = await upstreamState(ociOf(), site);
      expect(after).toMatch(SHA256);
      expect(after).not.toBe(before);
      expect(await upstreamState(ociOf({ image: 'oci:/nowhere:latest' }), site)).toBeUndefined();
    });

    it("a registry that cannot be reached is told with skopeo's lines", async () => {
      const image = 'docker://127.0.0.1:9/some/image:tag';
      const error = await failure(makeSourceTree(ociOf({ image, tlsVerify: false }), site));
      expect(error).toBeInstanceOf(CommandError);
      expect(renderError(error)).toMatch(
        /skopeo ended with exit status 1[\s\S]*connection refused/,
      );
      expect(await upstreamState(ociOf({ image, tlsVerify: false }), site)).toBeUndefined();
    });

    it('a file of credentials that is not there is told with how to make it', async () => {
      const text = await told(makeSourceTree(ociOf({ authFile: '/nowhere/auth.json' }), site));
      expect(text).toContain('Make it with: skopeo login --authfile=/nowhere/auth.json REGISTRY');
    });
  },
);
