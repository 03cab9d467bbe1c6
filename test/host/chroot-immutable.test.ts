/** Files that root itself cannot remove hinder no build and no removal. */
import { execa } from 'execa';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { removeTree } from '../../src/tools/rm.ts';
import { host } from './driver.ts';
import { makeHostileTree, makeOutside } from './hostile-tree.ts';
import { SmallChroots } from './small-chroots.ts';

vi.setConfig({ testTimeout: 180_000 });

const NAME = 'mishap';
let chroots: SmallChroots;

beforeAll(async () => {
  chroots = await SmallChroots.create();
});
afterAll(() => chroots.dispose());

describe('immutable files', () => {
  let dir = '';
  beforeEach(async () => {
    dir = await mkdtemp('/var/lib/immutable-');
  });
  afterEach(async () => {
    await execa('chattr', ['-R', '-f', '-i', '-a', '--', dir], { reject: false });
    await host('rm', '--recursive', '--force', '--one-file-system', '--', dir);
  });

  it('go with the tree at any depth, and what links lead to stays as it is', async () => {
    const tree = join(dir, 'tree');
    const outside = await makeOutside();
    try {
      const before = await outside.manifest();
      await makeHostileTree(tree, 100, outside, { isDeepImmutable: true });
      await host('chattr', '+i', tree);
      await removeTree(tree);
      expect(existsSync(tree)).toBe(false);
      expect(await outside.manifest()).toEqual(before);
    } finally {
      await outside.remove();
    }
  });

  it('of a version or of a killed build hinder no other build', async () => {
    await chroots.writeRecipe(NAME, '  - chattr +i /etc/motd');
    for (let count = 0; count < 3; count++) await chroots.succeed('create', NAME);
    expect(await chroots.versions(NAME)).toEqual([(await chroots.current(NAME)).version]);
    const killed = join(chroots.stateDir, 'chroots', NAME, 'building-20260101T000000Z-abcdef');
    await mkdir(join(killed, 'tree'), { recursive: true });
    await writeFile(join(killed, 'tree/file'), 'x');
    await host('chattr', '+i', join(killed, 'tree/file'));
    await chroots.succeed('create', NAME);
    expect(await chroots.unfinished(NAME)).toEqual([]);
    await chroots.succeed('remove', NAME);
    await chroots.writeRecipe(NAME);
  });
});
