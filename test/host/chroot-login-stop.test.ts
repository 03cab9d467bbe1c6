/** A person or the system stops `chroot login`: its command ends, and the copy is thrown away. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { host, waitFor } from './driver.ts';
import { SmallChroots } from './small-chroots.ts';

vi.setConfig({ testTimeout: 180_000 });

const NAME = 'mishap';
let chroots: SmallChroots;

beforeAll(async () => {
  chroots = await SmallChroots.create();
});
afterAll(() => chroots.dispose());

describe('login', () => {
  beforeAll(async () => {
    await chroots.writeRecipe(NAME);
    await chroots.succeed('create', NAME);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('ends its command on %s', async (signal) => {
    const { version } = await chroots.current(NAME);
    const login = chroots.start('login', NAME, '--', '/bin/sleep', '3141');
    const sleeps = async (): Promise<boolean> =>
      (await host('ps', '-eo', 'args')).split('\n').includes('/bin/sleep 3141');
    await waitFor('the command', sleeps, 60_000);
    const startedAt = performance.now();
    login.kill(signal);
    const { exitCode, stderr } = await login.ended;
    expect(performance.now() - startedAt).toBeLessThan(30_000);
    expect([exitCode, stderr]).toEqual([
      1,
      expect.stringContaining(`The work on chroot "${NAME}" was stopped; jobs use what they used.`),
    ]);
    expect(await sleeps()).toBe(false);
    expect((await chroots.current(NAME)).version).toBe(version);
    expect(await chroots.unfinished(NAME)).toEqual([]);
    expect(await chroots.left()).toEqual([]);
  });
});
