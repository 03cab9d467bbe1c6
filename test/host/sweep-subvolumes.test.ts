/** A dead job's directory on btrfs, in which the job made subvolumes. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { trashDirectory } from '../../src/machine/job-directory.ts';
import { trashCases } from '../../src/reaper/trash.ts';
import { host } from './driver.ts';
import { makeDeep } from './hostile-tree.ts';
import { hasLoopFileSystems, makeLoopFileSystem } from './loop-fs.ts';

describe.runIf(await hasLoopFileSystems())('subvolumes in the trash', () => {
  it('go when the reaper sweeps again', async () => {
    const { path: stateDir, remove } = await makeLoopFileSystem('btrfs', 1);
    onTestFinished(remove);
    const item = `nsr1-aaaaaaaa-${process.pid}-00000000`;
    const path = join(trashDirectory(stateDir), item);
    await mkdir(join(path, 'docker'), { recursive: true });
    for (const each of ['docker/a', 'docker/a/b', 'docker/c']) {
      await host('btrfs', 'subvolume', 'create', join(path, each));
      await host('touch', join(path, each, 'file'));
    }
    await host('btrfs', 'subvolume', 'create', join(path, 'docker/read-only'));
    await host('btrfs', 'subvolume', 'create', join(path, 'docker/read-only/inner'));
    await host('btrfs', 'property', 'set', join(path, 'docker/read-only'), 'ro', 'true');
    const of = join(path, 'docker/c');
    await host('btrfs', 'subvolume', 'snapshot', '-r', of, join(path, 'docker/snapshot'));
    // Deeper than a path can be long.
    await makeDeep(join(path, 'deep'), false);
    const [found, ...others] = await trashCases(stateDir);
    expect(others).toEqual([]);
    await found?.remove(AbortSignal.timeout(30_000));
    expect(existsSync(path)).toBe(false);
  });
});
