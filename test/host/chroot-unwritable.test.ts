/** A state directory whose disk is full or read-only: told as what it is, and nothing is left. */
import { execa } from 'execa';
import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { host } from './driver.ts';
import { SmallChroots } from './small-chroots.ts';

vi.setConfig({ testTimeout: 180_000 });

const NAME = 'mishap';
const MIB = 1024 * 1024;
let chroots: SmallChroots;

beforeAll(async () => {
  chroots = await SmallChroots.create();
});
afterAll(() => chroots.dispose());

describe('a state directory that cannot be written', () => {
  const lockFile = (): string => join(chroots.stateDir, 'chroots', NAME);

  beforeEach(async () => {
    await chroots.writeRecipe(NAME);
    await mkdir(chroots.stateDir, { recursive: true });
    return () => host('umount', '--lazy', chroots.stateDir);
  });

  async function mountState(options: string): Promise<void> {
    const places = `state_dir: ${chroots.stateDir}\nrecipe_dirs: [${chroots.dir}/recipes]\n`;
    await chroots.writeFile('settings.yaml', `${places}minimum_free_space: 1K\n`);
    await host('mount', '--types=tmpfs', `--options=${options}`, 'state', chroots.stateDir);
  }

  /** What the archive itself takes, and some more. */
  async function sizeWith(bytes: number): Promise<string> {
    return `size=${(await stat(chroots.archive)).size + bytes}`;
  }

  it('is told when it is full before the archive is there', async () => {
    await mountState(await sizeWith(-16 * MIB));
    const { exitCode, stderr } = await chroots.run('create', NAME);
    expect([exitCode, stderr]).toEqual([1, expect.stringMatching(/" cannot be written\.\n/)]);
    expect(stderr).toContain('ENOSPC: no space left on device, copyfile');
    expect(stderr).toContain('make room, then try again.');
    expect(stderr).not.toContain('correct the recipe');
    expect(await chroots.unfinished(NAME)).toEqual([]);
  });

  it('is told when it is full with the log, and the build leaves nothing', async () => {
    await mountState(await sizeWith(16 * MIB));
    const { exitCode, stderr } = await chroots.run('create', NAME);
    expect([exitCode, stderr]).toEqual([
      1,
      expect.stringContaining(`"${lockFile()}/build.log" cannot be written.`),
    ]);
    expect(stderr).toContain('ENOSPC: no space left on device, write');
    expect(stderr).toContain('make room, then try again.');
    expect(stderr).not.toMatch(/Unhandled|This is a bug/);
    expect(await chroots.unfinished(NAME)).toEqual([]);
  });

  it('is emptied by what makes room, though it is full', async () => {
    await mountState(await sizeWith(256 * MIB));
    expect((await chroots.run('create', NAME)).exitCode).toBe(0);
    await rm(join(chroots.stateDir, 'chroots', NAME, 'build.lock'));
    const filler = await execa('dd', ['if=/dev/zero', `of=${chroots.stateDir}/filler`, 'bs=4096'], {
      reject: false,
    });
    expect(filler.stderr).toContain('No space left on device');
    const { exitCode, stderr } = await chroots.run('remove', NAME);
    expect([exitCode, stderr]).toEqual([0, expect.stringContaining(`${NAME}: removed`)]);
  });

  it.each(['chroots', `chroots/${NAME}/versions`])(
    'is told when it is read-only (%s)',
    async (there) => {
      await mountState('size=16m');
      await mkdir(join(chroots.stateDir, there), { recursive: true });
      await host('mount', '--options=remount,ro', chroots.stateDir);
      const { exitCode, stderr } = await chroots.run('create', NAME);
      expect([exitCode, stderr]).toEqual([
        1,
        expect.stringMatching(
          new RegExp(`"${chroots.stateDir}/chroots[^"]*" cannot be written\\.\n`),
        ),
      ]);
      expect(stderr).toContain('EROFS');
      expect(stderr).not.toContain('This is a bug');
    },
  );
});
