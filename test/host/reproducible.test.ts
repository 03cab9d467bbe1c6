/** The same recipe built twice from the same packages gives the same tree, whoever builds it where. */
import { execa } from 'execa';
import { chmod, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { findChroot } from '../../src/chroot/store.ts';
import { listTree } from '../../src/chroot/tree-digest.ts';
import { borrowChroot } from './borrowed-chroot.ts';
import { BUNDLE, host } from './driver.ts';
import { isThorough } from './thorough.ts';

const SHIPPED = join(import.meta.dirname, '../../rootfs-recipes');
const BUILD_MS = 300_000;
/** What differs all the same, each with its reason; nothing of it in debian-12. */
const DIFFERENT: readonly RegExp[] = [
  // Package ssl-cert makes a key and a certificate for tests, which programs share; a link has the
  // hash of its subject, the name of the machine that is built in.
  /^\/etc\/ssl\/(?:certs|private)\/ssl-cert-snakeoil\./,
  /^\/etc\/ssl\/certs\/[0-9a-f]{8}\.0 symbolic link .* to ssl-cert-snakeoil\.pem$/,
];

/** A recipe that does what changes a tree: packages, a user, files, a step, a variable, units. */
const CHILD = `
extends: debian-12
packages: [make, cron, openssh-server, python3-minimal, ssl-cert]
user: {name: ci, groups: [ci-group], sudo: true}
files: [{path: /opt/made/by/recipe, content: here}]
script: ['adduser --system --quiet worker; ldconfig; touch /var/log/by-step']
environment: {GREETING: hello}
mask: [cron.service]
`;

interface Place {
  readonly settings: string;
  readonly stateDir: string;
  /** Another one in each. */
  readonly umask: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Else the child extends the host's debian-12, which is built once. */
const isWhole = await isThorough();
let dir = '';
let places: readonly Place[] = [];

beforeAll(async () => {
  dir = await mkdtemp('/var/lib/reproducible-');
  await chmod(dir, 0o755);
  await mkdir(join(dir, 'recipes'));
  await writeFile(join(dir, 'recipes/child.yaml'), CHILD);
  places = [
    await makePlace('one', '0022', { TZ: 'UTC' }),
    await makePlace('another/one/further/down', '0077', {
      ...{ TZ: 'Pacific/Kiritimati', LC_ALL: 'C', USER: 'somebody', HOME: dir },
      SOME_SECRET: 'of the builder',
    }),
  ];
  if (isWhole) return;
  for (const { stateDir } of places) await borrowChroot(stateDir, 'debian-12');
});
afterAll(() => host('rm', '--recursive', '--force', '--one-file-system', '--', dir), BUILD_MS);

async function makePlace(
  name: string,
  umask: string,
  env: Readonly<Record<string, string>>,
): Promise<Place> {
  const stateDir = join(dir, name);
  const settings = join(dir, `${umask}.yaml`);
  const dirs = [join(dir, 'recipes'), SHIPPED];
  await writeFile(settings, `state_dir: ${stateDir}\nrecipe_dirs: [${dirs.join(', ')}]\n`);
  return { settings, stateDir, umask, env };
}

/** The tree of each place, as lines to compare. */
async function builtTwice(name: string): Promise<readonly (readonly string[])[]> {
  const lists: (readonly string[])[] = [];
  for (const { settings, stateDir, umask, env } of places) {
    const argv = [process.execPath, BUNDLE, 'chroot', 'create', name, `--settings=${settings}`];
    // umask(2) is the one thing that only a shell sets.
    await execa('sh', ['-c', 'umask "$1"; shift; exec "$@"', 'sh', umask, ...argv], { env });
    const chroot = await findChroot(stateDir, name);
    lists.push(await listTree(chroot?.path ?? ''));
  }
  return lists;
}

function differences([one = [], other = []]: readonly (readonly string[])[]): readonly string[] {
  const [first, second] = [new Set(one), new Set(other)];
  const isNews = (line: string): boolean => !DIFFERENT.some((pattern) => pattern.test(line));
  return [
    ...one.filter((line) => !second.has(line) && isNews(line)).map((line) => `- ${line}`),
    ...other.filter((line) => !first.has(line) && isNews(line)).map((line) => `+ ${line}`),
  ];
}

it.each(isWhole ? ['debian-12', 'child'] : ['child'])(
  '%s: every path, mode, owner and content is the same',
  async (name) => {
    const lists = await builtTwice(name);
    expect(lists[0]?.length).toBeGreaterThan(8000);
    expect(differences(lists)).toEqual([]);
  },
  2 * BUILD_MS,
);
