/** The lock of a chroot's directory, which whoever removes the chroot takes along. */
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  isBuildLocked,
  removeLocked,
  withBuildLock,
  withBuildLockIn,
} from '../../src/chroot/build-lock.ts';
import { HostError } from '../../src/errors.ts';
import { failure } from './failure.ts';

const NAME = 'mishap';
const ROUNDS = 10;

describe('a directory that is removed while others wait for its lock', () => {
  let stateDir = '';
  let dir = '';
  beforeEach(async () => {
    stateDir = await mkdtemp('/var/lib/build-lock-');
    dir = join(stateDir, 'chroots', NAME);
    await mkdir(dir, { recursive: true });
    return () => rm(stateDir, { recursive: true });
  });

  async function removedBeside<T>(work: () => Promise<T>): Promise<Promise<T>[]> {
    return withBuildLock(NAME, dir, async () => {
      const waits = work();
      await sleep(500);
      await rm(dir, { recursive: true });
      return [waits];
    });
  }

  it('is made again by a build, which has the lock that others find', async () => {
    const makeDirectory = async (): Promise<void> => {
      await mkdir(dir, { recursive: true });
    };
    const build = (): Promise<unknown> =>
      withBuildLockIn({ name: NAME, dir, makeDirectory }, async () => [
        await readdir(dir),
        await isBuildLocked(stateDir, NAME),
      ]);
    const [built] = await removedBeside(build);
    expect(await built).toEqual([['build.lock'], true]);
  });

  it('and made again at the same moment is whole or gone', async () => {
    const makeDirectory = async (): Promise<void> => {
      await mkdir(join(dir, 'versions'), { recursive: true });
    };
    const busy = (error: unknown): void => expect(error).toBeInstanceOf(HostError);
    const failures: unknown[] = [];
    let [built, removed] = [0, 0];
    const isOver = (): boolean => built >= ROUNDS && removed >= ROUNDS;
    const builder = async (): Promise<void> => {
      const build = async (): Promise<void> => {
        const path = join(dir, 'versions/one');
        await writeFile(path, '');
        await sleep(1);
        expect(await readdir(dir)).toEqual(['build.lock', 'versions']);
        built++;
      };
      while (!isOver())
        await withBuildLockIn({ name: NAME, dir, makeDirectory }, build).catch(busy);
    };
    const remover = async (): Promise<void> => {
      const remove = async (): Promise<void> => {
        await removeLocked(dir).catch((error: unknown) => failures.push(error));
        removed++;
      };
      while (!isOver()) await withBuildLock(NAME, dir, remove).catch(busy);
    };
    await Promise.all([builder(), builder(), remover()]);
    expect(failures).toEqual([]);
  });

  it('is told to one who does not build', async () => {
    const [error] = await removedBeside(() =>
      failure(withBuildLock(NAME, dir, () => Promise.resolve())),
    );
    expect(await error).toMatchObject({
      name: 'HostError',
      message: `Chroot "${NAME}" is not there any more.`,
    });
  });
});
