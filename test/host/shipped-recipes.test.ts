/**
 * The recipes that come with the program: built, tried, and used by a job that finds what they
 * promise. A job of `docker` needs a network of its own, so that one is built and tried only.
 *
 * Where not everything is done, two of them are enough.
 */
import { execa } from 'execa';
import { mkdir, readFile, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readVersionRecord } from '../../src/chroot/version.ts';
import { borrowChroot } from './borrowed-chroot.ts';
import { runHostJob } from './host-job.ts';
import { makeOciLayout } from './oci-layout.ts';
import { SmallChroots } from './small-chroots.ts';
import { hasSourcePackages } from './source-packages.ts';
import { isThorough } from './thorough.ts';

const SHIPPED = join(import.meta.dirname, '../../rootfs-recipes');
const BUILD_MS = 400_000;
const CHILDREN = ['build-essential', 'postgresql', 'nodejs', 'docker'];
const recipes = (await isThorough()) ? CHILDREN : CHILDREN.slice(0, 2);
/** Before any hook, so that the package list is fetched once. */
const hasOciTools = await hasSourcePackages('skopeo', 'umoci');
const hasDnf = await hasSourcePackages('dnf');

let place: SmallChroots;

beforeAll(async () => {
  place = await SmallChroots.create();
  const dirs = [join(place.dir, 'recipes'), SHIPPED];
  await place.writeFile(
    'settings.yaml',
    `state_dir: ${place.stateDir}\nrecipe_dirs: [${dirs.join(', ')}]\n`,
  );
  // What the others extend is made once for all tests.
  for (const base of ['debian-12', 'debian-13']) await borrowChroot(place.stateDir, base);
});
afterAll(async () => {
  expect(await place.left()).toEqual([]);
  await place.dispose();
}, BUILD_MS);

/** What the script of a job printed that had to succeed. */
async function jobIn(image: string, ...script: string[]): Promise<string> {
  const settings = `state_dir: ${place.stateDir}\n`;
  const job = await runHostJob({ image, settings, script: script.map((line) => `${line}\n`) });
  expect(job.status, job.log).toBe('success');
  expect(job.log).toMatch(new RegExp(String.raw`\b${image}\b`));
  return job.text('build_script', 'stdout');
}

async function expectTried(name: string, ...checks: string[]): Promise<void> {
  const { path } = await place.current(name);
  const record = await readVersionRecord(dirname(path));
  expect(record?.trial).toMatchObject({ state: 'running' });
  expect(record?.trial?.checks).toEqual(
    expect.arrayContaining(['shell', 'git', 'dbus', ...checks]),
  );
}

describe('without a parent', () => {
  it('debian-12 and debian-13 are good, and have what every job needs', async () => {
    const { stderr } = await place.succeed('verify', 'debian-12', 'debian-13');
    expect(stderr.match(/is good, ready after/g)).toHaveLength(2);
    for (const image of ['debian-12', 'debian:13']) {
      const said = await jobIn(
        image,
        '. /etc/os-release; echo "this is $ID:$VERSION_ID"',
        'git --version; git lfs version; ps --version',
        'systemctl is-system-running --wait',
        'ls /var/log/apt /var/lib/apt/lists | xargs',
      );
      expect(said).toContain(`this is ${image.replace('debian-', 'debian:')}`);
      expect(said).toMatch(
        /^git version [\s\S]*^git-lfs\/[\s\S]*^ps from procps-ng [\s\S]*^running$/m,
      );
    }
  });
});

describe('extends debian-13', () => {
  beforeAll(async () => {
    const startedAt = performance.now();
    // One that fails leaves the others alone, and fails its own test.
    const { stderr } = await place.run('create', ...recipes, '--jobs=2');
    console.log(`${((performance.now() - startedAt) / 1000).toFixed(0)} s\n${stderr}`);
  }, BUILD_MS);

  it('build-essential compiles', async () => {
    await expectTried('build-essential', 'compile and run');
    const said = await jobIn(
      'build-essential',
      String.raw`printf '#include <stdio.h>\nint main(void) { puts("made from C"); }\n' >hello.c`,
      String.raw`printf 'all: hello\n\t./hello\n' >Makefile`,
      'make && cc hello.c && ./a.out',
      String.raw`printf '#include <iostream>\nint main() { std::cout << "made from C++\\n"; }\n' >hi.cc`,
      'g++ hi.cc -o hi && ./hi; pkgconf --version',
    );
    expect(said).toMatch(
      /^made from C\n[\s\S]*^made from C\n[\s\S]*^made from C\+\+\n[\s\S]*^\d+\.\d/m,
    );
  });

  it('postgresql has a server, each job its own', async () => {
    await expectTried('postgresql', 'pg_isready --timeout=30');
    const script = [
      'pg_isready',
      "psql --no-align --tuples-only --command='SELECT 6 * 7'",
      'createdb of_this_job && psql of_this_job --command="CREATE TABLE t (i int)"',
      'systemctl is-active postgresql.service postgresql@17-main.service',
      'ss --version >/dev/null 2>&1 || true; grep -c :1538 /proc/net/tcp || echo no port of the host',
    ];
    const both = await Promise.all([
      jobIn('postgresql', ...script),
      jobIn('postgresql', ...script),
    ]);
    for (const said of both) {
      expect(said).toContain('accepting connections');
      expect(said).toMatch(/^42$/m);
      expect(said).toMatch(/^CREATE TABLE$/m);
      expect(said).toMatch(/^active\nactive$/m);
      expect(said).toMatch(/^no port of the host$/m);
    }
  });

  if (recipes.includes('nodejs'))
    it('nodejs runs JavaScript and npm', async () => {
      await expectTried('nodejs', 'npm --version');
      const said = await jobIn(
        'nodejs',
        "node --eval 'console.log(6 * 7, process.versions.node)'",
        'npm init --yes >/dev/null',
        "npm pkg set scripts.test='node --test'",
        `echo "require('node:test')('adds', () => require('assert').equal(1 + 1, 2))" >a.test.js`,
        'npm test',
      );
      expect(said).toMatch(/^42 \d+\.\d+\.\d+$/m);
      expect(said).toMatch(/pass 1\b/);
    });

  if (recipes.includes('docker'))
    it('docker has a daemon that answers in its trial', async () => {
      await expectTried('docker', 'docker info');
      const { path } = await place.current('docker');
      expect(await readFile(join(path, '../build.log'), 'utf8')).toContain(
        'Storage Driver: overlay2',
      );
      expect(JSON.parse(await readFile(join(path, '../machine.json'), 'utf8'))).toMatchObject({
        network: 'none',
        profile: 'nesting',
      });
    });

  it('nothing of the host or of the day is in them', async () => {
    for (const name of recipes) {
      const { path } = await place.current(name);
      expect(await readdir(join(path, 'var/log/apt')), name).toEqual([]);
      expect(await readdir(join(path, 'var/log')), name).not.toContain('dpkg.log');
      expect(await readFile(join(path, 'etc/machine-id'), 'utf8'), name).toBe('');
      const days = (await readFile(join(path, 'etc/shadow'), 'utf8')).split('\n');
      expect(
        days.filter((line) => /^[^:]+:[^:]*:[1-9]/.test(line)),
        name,
      ).toEqual([]);
    }
  });
});

describe('from an archive', () => {
  const checks = (file: string): string =>
    `files: [{path: /etc/made-from, content: "${file}\\n"}]\ncheck: [grep --quiet ${file} /etc/made-from]\n`;

  it(
    'a tar',
    async () => {
      await place.writeFile(
        'recipes/from-tar.yaml',
        `tar: {location: ../base.tar}\n${checks('a-tar')}`,
      );
      await place.succeed('create', 'from-tar');
      await expectTried('from-tar', 'grep --quiet a-tar /etc/made-from');
      expect(await jobIn('from-tar', 'cat /etc/made-from; git --version')).toMatch(
        /^a-tar\n[\s\S]*^git version/m,
      );
    },
    BUILD_MS,
  );

  it.runIf(hasOciTools)(
    'an OCI layout',
    async () => {
      const layers = ['lower', 'upper'].map((name) => join(place.dir, name));
      const [lower = '', upper = ''] = layers;
      await mkdir(lower);
      await mkdir(join(upper, 'etc'), { recursive: true });
      await execa('tar', ['--extract', `--file=${place.archive}`, `--directory=${lower}`]);
      await place.writeFile('upper/etc/second-layer', 'second layer\n');
      const environment = ['GREETING=from the image'];
      const layout = join(place.dir, 'layout');
      const digest = await makeOciLayout({ layout, tag: '1', layers, environment });
      await place.writeFile(
        'recipes/from-oci.yaml',
        `oci: {image: "oci:${layout}:1", digest: "${digest}"}\n${checks('an-image')}`,
      );
      await place.succeed('create', 'from-oci');
      await expectTried('from-oci', 'grep --quiet an-image /etc/made-from');
      const said = await jobIn(
        'from-oci',
        'cat /etc/made-from /etc/second-layer; echo "$GREETING"',
      );
      expect(said).toContain('an-image\nsecond layer\n');
      expect(said).toMatch(/^from the image$/m);
    },
    BUILD_MS,
  );
});

describe('from mirrors that cannot be reached', () => {
  /** The shipped recipe under another name, with other lines. */
  async function failing(name: string, ...changes: (readonly [string, string])[]): Promise<string> {
    const text = await readFile(join(SHIPPED, `${name}.yaml`), 'utf8');
    const changed = changes.reduce((from, [before, after]) => from.replace(before, after), text);
    await place.writeFile(`recipes/unreachable-${name}.yaml`, changed);
    const { exitCode, stderr } = await place.run('create', `unreachable-${name}`);
    expect(exitCode).toBe(1);
    expect(await place.unfinished(`unreachable-${name}`)).toEqual([]);
    return stderr;
  }

  it('ubuntu-24.04 says which mirror', async () => {
    const stderr = await failing('ubuntu-24.04', [
      '  suite: noble\n',
      `  suite: noble
  mirror: http://127.0.0.1:9/ubuntu
  keyring: /usr/share/keyrings/debian-archive-keyring.gpg
  apt_options: ['Acquire::Retries "0"']
`,
    ]);
    expect(stderr).toContain('unreachable-ubuntu-24.04: installing Ubuntu noble');
    expect(stderr).toMatch(
      /^Chroot "unreachable-ubuntu-24.04" was not made: mmdebstrap ended with exit status \d+\.$/m,
    );
    expect(stderr).toContain('Could not connect to 127.0.0.1:9');
    expect(stderr).toContain(`All of its output is in "${place.stateDir}/chroots/`);
  });

  it('ubuntu-24.04 asks for the keys first', async () => {
    const stderr = await failing('ubuntu-24.04', ['noble\n', 'noble\n  keyring: /nowhere.gpg\n']);
    expect(stderr).toMatch(/^Keyring "\/nowhere.gpg" is not on this host\.$/m);
    expect(stderr).toMatch(/^Install ubuntu-keyring, or name the keyring of your mirror/m);
  });

  it.runIf(hasDnf)('fedora-43 says which repository', async () => {
    const stderr = await failing('fedora-43', [
      "  release: '43'\n",
      `  release: '43'
  repositories:
    - {id: fedora, baseurl: 'http://127.0.0.1:9/$releasever/$basearch', gpgkey: none}
`,
    ]);
    expect(stderr).toContain('unreachable-fedora-43: installing Fedora 43');
    expect(stderr).toMatch(
      /^Chroot "unreachable-fedora-43" was not made: dnf ended with exit status 1\.$/m,
    );
    expect(stderr).toMatch(/http:\/\/127\.0\.0\.1:9\/43\//);
  });

  it.runIf(hasDnf)('fedora-43 asks for the keys first', async () => {
    const stderr = await failing('fedora-43', ["'43'\n", "'43'\n  keyring: /nowhere\n"]);
    expect(stderr).toMatch(/^Key "\/nowhere" of repository "fedora" is not on this host\.$/m);
    expect(stderr).toMatch(/^Install distribution-gpg-keys/m);
  });
});
