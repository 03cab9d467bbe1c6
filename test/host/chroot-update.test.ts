/** What an update makes of chroots that were brought or taken away, and of a disk that takes nothing. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { host, waitFor } from './driver.ts';
import { SmallChroots } from './small-chroots.ts';

vi.setConfig({ testTimeout: 180_000 });

let chroots: SmallChroots;

beforeAll(async () => {
  chroots = await SmallChroots.create();
  await chroots.writeRecipe('first');
  await chroots.writeRecipe('second');
  await chroots.succeed('create', '--all');
});
afterAll(() => chroots.dispose());
afterEach(async () => {
  expect(await chroots.left()).toEqual([]);
});

const versionOf = async (name: string): Promise<string> => (await chroots.current(name)).version;

describe('update --all', () => {
  it('leaves an export of another recipe alone until a rebuild is asked for', async () => {
    const file = join(chroots.dir, 'second.tar.zst');
    await chroots.succeed('export', 'second', file);
    await chroots.writeRecipe('second', 'files: [{path: /etc/added, content: here}]');
    await chroots.succeed('import', file);
    const version = await versionOf('second');
    const { stderr } = await chroots.succeed('update', '--all');
    expect(stderr).toContain(
      `second: nothing to do, version ${version} stays: it was imported; --rebuild makes it from its recipe`,
    );
    expect(await versionOf('second')).toBe(version);
    await chroots.succeed('update', '--rebuild', 'second');
    expect(existsSync(join((await chroots.current('second')).path, 'etc/added'))).toBe(true);
  });

  it('does not make again what is removed before its turn', async () => {
    const update = chroots.start('update', '--all', '--rebuild', '--jobs=1');
    await waitFor('the first', () => update.stderr().includes('first: '));
    await chroots.succeed('remove', 'second');
    const { exitCode, stderr } = await update.ended;
    expect([exitCode, stderr]).toEqual([0, expect.stringMatching(/^first: version .* current/m)]);
    expect(stderr).toContain('second: nothing to do: it was removed meanwhile');
    expect(existsSync(join(chroots.stateDir, 'chroots/second'))).toBe(false);
  });

  it('tells that the disk does not take new settings for machines', async () => {
    await chroots.writeRecipe('first', 'machine: {network: none}');
    await host('mount', '--bind', chroots.stateDir, chroots.stateDir);
    await host('mount', '--options=remount,bind,ro', chroots.stateDir);
    const { exitCode, stderr } = await chroots
      .run('update', '--all')
      .finally(() => host('umount', '--lazy', chroots.stateDir));
    expect([exitCode, stderr]).toEqual([
      1,
      expect.stringMatching(/machine\.json[^"]*" cannot be written\.\n/),
    ]);
    expect(stderr).toContain('EROFS');
    expect(stderr).not.toContain('This is a bug');
  });
});
