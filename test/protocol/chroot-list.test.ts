/** Commands for chroots by somebody who may not look into the state directory. */
import { execa } from 'execa';
import { chmod, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BUILT_PROGRAM } from '../runner-emulator.ts';

const NOBODY = 65_534;
let dir = '';

beforeAll(async () => {
  // A place where whoever is not root can read the program.
  dir = await mkdtemp(join(tmpdir(), 'nspawn-runner-list-'));
  await chmod(dir, 0o755);
  await cp(dirname(BUILT_PROGRAM), join(dir, 'dist'), { recursive: true });
  await mkdir(join(dir, 'state/chroots'), { recursive: true });
  await chmod(join(dir, 'state'), 0o700);
  await writeFile(join(dir, 'settings.yaml'), `state_dir: ${dir}/state\n`);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

it.each([
  ['chroot list', ['chroot', 'list']],
  ['chroot list', ['chroot', 'list', '--json']],
  ['chroot show', ['chroot', 'show', 'web']],
  ['chroot-list', ['chroot-list']],
  ['chroot create', ['chroot', 'create', 'web']],
  ['chroot create', ['chroot', 'create', '--if-missing', 'debian-12']],
])('is refused with one sentence: %s (%j)', async (what, args) => {
  const argv = [join(dir, 'dist/nspawn-runner.cjs'), ...args];
  const settings = `--settings=${join(dir, 'settings.yaml')}`;
  const { exitCode, stdout, stderr } = await execa(process.execPath, [...argv, settings], {
    ...{ reject: false, cwd: '/', stdin: 'ignore' },
    ...(process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}),
  });
  expect([exitCode, stdout]).toEqual([1, '']);
  expect(stderr.split('\n')[0]).toBe(`${what}: only root may do this.`);
  expect(stderr).not.toContain('This is a bug');
});
