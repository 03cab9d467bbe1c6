/**
 * Trees on ext4, xfs and btrfs: copies, shared blocks, removal. The same tests for each, since a
 * version has to be the same wherever it lies.
 */
import { execa } from 'execa';
import { existsSync, lstatSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { appendFile, open, readFile, realpath, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { digestTree, listTree } from '../../src/chroot/tree-digest.ts';
import { summarizeTree } from '../../src/chroot/tree-list.ts';
import {
  copyTree,
  freeSpace,
  makeTreeDirectory,
  removeTreeDirectory,
  shareWith,
} from '../../src/chroot/tree-storage.ts';
import type { ConfinedRun } from '../../src/tools/confined.ts';
import type * as FindProgram from '../../src/tools/find-program.ts';
import { fuzz } from '../unit/fuzz.ts';
import { hasLoopFileSystems, KINDS, makeLoopFileSystem, type LoopFileSystem } from './loop-fs.ts';
import { makeRandomTree } from './random-tree.ts';

const missing = vi.hoisted(() => new Set<string>());
vi.mock('../../src/tools/find-program.ts', async (load) => {
  const real = await load<typeof FindProgram>();
  return {
    findProgram: (...names: string[]) =>
      names.some((name) => missing.has(name))
        ? Promise.resolve(undefined)
        : real.findProgram(...names),
  };
});

const REAL_TREE = '/var/lib/nspawn-runner/chroots/debian-12/current/tree';
const ENTRIES = 150;
/** scripts/sweep makes ten. */
const VERSIONS = Number(process.env['NSPAWN_RUNNER_VERSIONS'] ?? 3);
const random = fuzz('chroot storage');
const usable = await hasLoopFileSystems();
let lock: FileHandle;
let how: ConfinedRun;

beforeAll(async () => {
  lock = await open('/dev/null');
  how = { lockFd: lock.fd, onLine: () => undefined, signal: new AbortController().signal };
});
afterAll(() => lock.close());

const everything = (tree: string): Promise<readonly string[]> =>
  listTree(tree, { withTimes: true });

/** A directory as a build has one, with a tree in it. */
async function newTree(directory: string): Promise<string> {
  mkdirSync(directory);
  const tree = join(directory, 'tree');
  await makeTreeDirectory(tree);
  return tree;
}

/** As a build makes it again: nothing is shared with the other one. */
async function copyAnew(from: string, directory: string): Promise<string> {
  const tree = await newTree(directory);
  await execa('cp', ['--archive', '--reflink=never', '--no-target-directory', from, tree]);
  return tree;
}

describe.skipIf(!usable).each(KINDS)('on %s', (kind) => {
  const shares = kind !== 'ext4';
  let disk: LoopFileSystem;
  let dir = '';
  let count = 0;

  beforeAll(async () => {
    disk = await makeLoopFileSystem(kind, 8);
  });
  afterAll(() => disk.remove());
  beforeEach(() => {
    missing.clear();
    count += 1;
    dir = join(disk.path, `test${count}`);
    mkdirSync(dir);
    return () => removeTreeDirectory(dir);
  });

  it('a new tree is an empty directory that all may enter', async () => {
    const tree = await newTree(join(dir, 'one'));
    const { mode, uid, gid, ino } = lstatSync(tree);
    expect([mode & 0o7777, uid, gid]).toEqual([0o755, 0, 0]);
    expect(ino === 256).toBe(kind === 'btrfs');
  });

  it.each([1, 2, 3])('a copy is the tree to the letter (%i)', async () => {
    const tree = await newTree(join(dir, 'one'));
    await makeRandomTree(tree, ENTRIES, random);
    const before = await everything(tree);
    mkdirSync(join(dir, 'two'));
    const copy = join(dir, 'two/tree');
    const made = await copyTree(tree, copy, how);
    expect(made).toBe({ ext4: 'copy', xfs: 'reflink', btrfs: 'snapshot' }[kind]);
    expect(await everything(copy)).toEqual(before);
    expect(await everything(tree)).toEqual(before);
    expect(lstatSync(join(copy, 'socket')).isSocket()).toBe(true);
    expect(await digestTree(copy)).toBe(await digestTree(tree));
    expect(await summarizeTree(copy)).toEqual(await summarizeTree(tree));
    writeFileSync(join(copy, 'capable'), 'other');
    expect(await everything(tree)).toEqual(before);
  });

  it('a copy from another file system is the same', async () => {
    const tree = join('/var/tmp', `storage-test-${process.pid}`);
    mkdirSync(tree);
    try {
      await makeRandomTree(tree, ENTRIES, random);
      expect(await copyTree(tree, join(dir, 'tree'), how)).toBe('copy');
      expect(await everything(join(dir, 'tree'))).toEqual(await everything(tree));
    } finally {
      await removeTreeDirectory(tree);
    }
  });

  it('holes stay holes', async () => {
    const tree = await newTree(join(dir, 'one'));
    await execa('truncate', ['--size=1G', join(tree, 'sparse')]);
    await appendFile(join(tree, 'sparse'), 'end');
    await copyTree(tree, join(dir, 'copy'), how);
    expect(lstatSync(join(dir, 'copy/sparse')).size).toBe(1024 ** 3 + 3);
    expect(lstatSync(join(dir, 'copy/sparse')).blocks).toBeLessThan(200);
  });

  it('nothing is copied over what is there', async () => {
    const tree = await newTree(join(dir, 'one'));
    await expect(copyTree(tree, dir, how)).rejects.toThrow(`"${dir}" is there already`);
    expect(existsSync(join(dir, 'tree'))).toBe(false);
  });

  it('equal files of two versions share their blocks, and nothing else changes', async () => {
    const old = await newTree(join(dir, 'old'));
    const built = await makeRandomTree(old, ENTRIES, random);
    const big = 20_000_000;
    for (const name of ['same', 'different', 'moved'])
      writeFileSync(join(old, name), Buffer.alloc(big, 1));
    const tree = await copyAnew(old, join(dir, 'new'));
    writeFileSync(join(tree, 'different'), Buffer.alloc(big, 2));
    for (const name of ['same', 'capable', 'all']) await changeAttributes(join(tree, name));
    expect(built.files.length).toBeGreaterThan(10);
    const [before, beforeOld] = [await everything(tree), await everything(old)];
    const used = await disk.usedBytes();
    const shared = await shareWith(tree, old, how);
    expect(await everything(tree)).toEqual(before);
    expect(await everything(old)).toEqual(beforeOld);
    expect(existsSync(join(tree, 'socket'))).toBe(true);
    if (shares) {
      expect(shared).toBeGreaterThan(2 * big);
      expect(used - (await disk.usedBytes())).toBeGreaterThan(1.9 * big);
    } else {
      expect(shared).toBe(0);
    }
  });

  it('what is immutable or append-only shares nothing, and hinders nothing', async () => {
    const trees = [await newTree(join(dir, 'old')), await newTree(join(dir, 'new'))] as const;
    const names = ['immutable', 'append-only', 'directory/in', 'plain'];
    for (const tree of trees) {
      mkdirSync(join(tree, 'directory'));
      for (const name of names) writeFileSync(join(tree, name), Buffer.alloc(100_000, 1));
      await execa('chattr', ['+i', join(tree, 'immutable'), join(tree, 'directory')]);
      await execa('chattr', ['+a', join(tree, 'append-only')]);
    }
    const [old, tree] = trees;
    const before = await everything(tree);
    expect(await shareWith(tree, old, how)).toBe(shares ? 100_000 : 0);
    expect(await everything(tree)).toEqual(before);
    for (const name of ['old', 'new']) await removeTreeDirectory(join(dir, name));
  });

  it('files that an old link leads to are no files of the old tree', async () => {
    const old = await newTree(join(dir, 'old'));
    const tree = await newTree(join(dir, 'new'));
    mkdirSync(join(dir, 'outside'));
    symlinkSync('../../outside', join(old, 'directory'));
    symlinkSync('../../outside/file', join(old, 'file'));
    mkdirSync(join(tree, 'directory'));
    for (const place of ['outside/file', 'new/tree/directory/file', 'new/tree/file']) {
      writeFileSync(join(dir, place), Buffer.alloc(100_000, 1));
    }
    expect(await shareWith(tree, old, how)).toBe(0);
  });

  it.runIf(kind === 'btrfs').each([true, false])(
    'subvolumes in a tree are copied and removed (with the tool: %s)',
    async (hasTool) => {
      const tree = await newTree(join(dir, 'one'));
      mkdirSync(join(tree, 'var/lib'), { recursive: true });
      for (const name of ['machines', 'machines/inner', 'portables']) {
        await execa('btrfs', ['subvolume', 'create', join(tree, 'var/lib', name)]);
        writeFileSync(join(tree, 'var/lib', name, 'file'), name);
      }
      await execa('chmod', ['0700', join(tree, 'var/lib/machines')]);
      const before = await everything(tree);
      if (!hasTool) missing.add('btrfs');
      mkdirSync(join(dir, 'two'));
      const made = await copyTree(tree, join(dir, 'two/tree'), how);
      expect(made).toBe(hasTool ? 'snapshot' : 'reflink');
      expect(await everything(join(dir, 'two/tree'))).toEqual(before);
      expect(await everything(tree)).toEqual(before);
      for (const name of ['one', 'two']) await removeTreeDirectory(join(dir, name));
      missing.clear();
      const { stdout } = await execa('btrfs', ['subvolume', 'list', '-o', disk.path]);
      expect(stdout).toBe('');
    },
  );

  it.runIf(kind === 'btrfs')('a subvolume may have any name', async () => {
    const tree = await newTree(join(dir, 'one'));
    await execa('btrfs', ['subvolume', 'create', join(tree, 'plain')]);
    writeFileSync(join(tree, 'plain/file'), 'x');
    renameSync(join(tree, 'plain'), Buffer.concat([Buffer.from(`${tree}/i`), Buffer.from([0xff])]));
    expect(await copyTree(tree, join(dir, 'copy'), how)).toBe('reflink');
    expect(await everything(join(dir, 'copy'))).toEqual(await everything(tree));
    await removeTreeDirectory(join(dir, 'one'));
    expect(existsSync(join(dir, 'one'))).toBe(false);
  });

  it('removal follows no link, and begins nothing where something is mounted', async () => {
    const outside = join(disk.path, 'outside');
    mkdirSync(outside, { recursive: true });
    writeFileSync(join(outside, 'file'), 'precious');
    const tree = await newTree(join(dir, 'one'));
    await makeRandomTree(tree, ENTRIES, random);
    symlinkSync(outside, join(tree, 'link'));
    mkdirSync(join(tree, 'mounted'));
    await execa('mount', ['--bind', outside, join(tree, 'mounted')]);
    const before = await everything(tree);
    await expect(removeTreeDirectory(join(dir, 'one'))).rejects.toThrow('something is mounted');
    expect(await everything(tree)).toEqual(before);
    await execa('umount', [join(tree, 'mounted')]);
    await removeTreeDirectory(join(dir, 'one'));
    expect(existsSync(join(dir, 'one'))).toBe(false);
    expect(await readFile(join(outside, 'file'), 'utf8')).toBe('precious');
    await removeTreeDirectory(join(dir, 'one'));
  });

  it('tells how much is free', async () => {
    const { freeBytes, totalBytes, freeInodes } = await freeSpace(dir);
    expect(totalBytes).toBeGreaterThan(7 * 1024 ** 3);
    expect(freeBytes).toBeLessThan(totalBytes);
    expect(freeInodes).toBeGreaterThan(100_000);
  });

  it.runIf(existsSync(REAL_TREE))(
    `what ${VERSIONS} versions of debian-12 take`,
    { timeout: 400_000 },
    async () => {
      const source = await realpath(REAL_TREE);
      const empty = await disk.usedBytes();
      const first = await copyAnew(source, join(dir, 'first'));
      const one = (await disk.usedBytes()) - empty;
      let previous = first;
      for (let made = 1; made < VERSIONS; made++) {
        mkdirSync(join(dir, `refreshed${made}`));
        const tree = join(dir, `refreshed${made}/tree`);
        await copyTree(previous, tree, how);
        await changeAFew(tree);
        previous = tree;
      }
      const refreshed = (await disk.usedBytes()) - empty;
      for (let made = 1; made < VERSIONS; made++) {
        await removeTreeDirectory(join(dir, `refreshed${made}`));
      }
      previous = first;
      for (let made = 1; made < VERSIONS; made++) {
        const tree = await copyAnew(source, join(dir, `rebuilt${made}`));
        await changeAFew(tree);
        await shareWith(tree, previous, how);
        previous = tree;
      }
      const rebuilt = (await disk.usedBytes()) - empty;
      const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0).padStart(6);
      console.log(
        `${kind}: one version ${megabytes(one)} MB, ${VERSIONS} by refresh ${megabytes(refreshed)} MB, ` +
          `${VERSIONS} by rebuild ${megabytes(rebuilt)} MB`,
      );
      for (const all of [refreshed, rebuilt]) {
        if (shares) expect(all).toBeLessThan((1 + VERSIONS / 5) * one);
        else expect(all).toBeGreaterThan((VERSIONS - 1) * one);
      }
    },
  );
});

/** As a package upgrade does: some files anew, some longer. */
async function changeAFew(tree: string): Promise<void> {
  await appendFile(join(tree, 'var/lib/dpkg/status'), '\n');
  await appendFile(join(tree, 'var/log/dpkg.log'), 'upgraded\n');
  await execa('cp', [join(tree, 'usr/bin/git'), join(tree, 'usr/bin/git.new')]);
  await execa('mv', [join(tree, 'usr/bin/git.new'), join(tree, 'usr/bin/git')]);
}

async function changeAttributes(path: string): Promise<void> {
  await execa('chown', ['7:8', path]);
  await execa('chmod', ['6711', path]);
  await execa('setfattr', ['--name=user.other', '--value=x', path]);
  await execa('setcap', ['cap_sys_time+ei', path]);
  await execa('touch', ['--date=@1234567890.123456789', path]);
}
