/** A version that moves to another host: the same to the byte, or refused. */
import { execa } from 'execa';
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, open, rm, symlink, truncate, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { exportVersion, type ExportRun } from '../../src/chroot/export.ts';
import { sealFile } from '../../src/chroot/export-seal.ts';
import { unpackExport } from '../../src/chroot/import.ts';
import { digestTree, listTree } from '../../src/chroot/tree-digest.ts';
import { makeTreeDirectory, removeTreeDirectory } from '../../src/chroot/tree-storage.ts';
import { fuzz } from '../unit/fuzz.ts';
import { tarOf, type Member } from '../unit/tools/tar-writer.ts';
import { hasLoopFileSystems, KINDS, makeLoopFileSystem, type LoopFileSystem } from './loop-fs.ts';
import { makeRandomTree } from './random-tree.ts';

const NAME = 'small';
const VERSION = '20261120T223136Z-4d6d8d';
const FLIPS = 200;
const random = fuzz('chroot export');
const hasDisks = await hasLoopFileSystems();
let lock: FileHandle;
let how: ExportRun;
let dir = '';
/** Of a random tree, with its list. */
let version: { name: string; version: string; path: string };
let expected: readonly string[] = [];
let good = '';

const everything = (tree: string): Promise<readonly string[]> =>
  listTree(tree, { withTimes: true });

beforeAll(async () => {
  lock = await open('/dev/null');
  const quiet = (): void => undefined;
  how = { lockFd: lock.fd, onLine: quiet, step: quiet, signal: new AbortController().signal };
  dir = await mkdtemp('/var/tmp/chroot-export-');
  version = await makeVersion(join(dir, 'from'));
  expected = await everything(version.path);
  good = join(dir, 'good.tar.zst');
  await exportVersion(version, good, how);
});
afterAll(async () => {
  await removeTreeDirectory(dir);
  await lock.close();
});

async function makeVersion(place: string): Promise<typeof version> {
  mkdirSync(place);
  const path = join(place, 'tree');
  await makeTreeDirectory(path);
  await makeRandomTree(path, 150, random);
  writeFileSync(join(place, 'version.json'), '{"format": 2, "name": "small"}');
  return { name: NAME, version: VERSION, path };
}

let building = '';
beforeEach(async () => {
  building = await mkdtemp(join(dir, 'building-'));
});

async function expectRefused(file: string): Promise<unknown> {
  const error: unknown = await unpackExport(file, building, how).catch((thrown: unknown) => thrown);
  expect(error, file).toMatchObject({ name: 'SettingsError' });
  expect(readdirSync(building)).toEqual([]);
  return error;
}

describe('an export', () => {
  it('is a file of root alone, with the sum that is told, and nothing beside it', async () => {
    const place = await mkdtemp(join(dir, 'place-'));
    const file = join(place, 'a:b -.tar.zst');
    const { sha256, bytes } = await exportVersion(version, file, how);
    expect(createHash('sha256').update(readFileSync(file)).digest('hex')).toBe(sha256);
    expect(lstatSync(file)).toMatchObject({ mode: 0o100600, size: bytes });
    expect(readdirSync(place)).toEqual(['a:b -.tar.zst']);
    expect(await everything(version.path)).toEqual(expected);
  });

  it('replaces nothing unless it is forced', async () => {
    const file = join(dir, 'mine');
    writeFileSync(file, 'mine');
    await expect(exportVersion(version, file, how)).rejects.toThrow(`"${file}" is there already.`);
    expect(readFileSync(file, 'utf8')).toBe('mine');
    await exportVersion(version, file, { ...how, force: true });
    expect(lstatSync(file).size).toBeGreaterThan(1000);
    await expect(exportVersion(version, dir, { ...how, force: true })).rejects.toThrow('no file');
    const nowhere = join(dir, 'no/where');
    await expect(exportVersion(version, nowhere, how)).rejects.toThrow('cannot be written to');
  });

  it('of the same version is the same', async () => {
    const again = join(dir, 'again.tar.zst');
    // Sparse members have the process id of tar in a name that no program reads.
    const plain = await makeVersionWithoutHoles();
    await exportVersion(plain, again, how);
    const first = readFileSync(again);
    await exportVersion(plain, again, { ...how, force: true });
    expect(readFileSync(again).equals(first)).toBe(true);
  });

  it('is one that tar and zstd read', async () => {
    const { stdout } = await execa('tar', ['--list', '--zstd', `--file=${good}`], {
      stripFinalNewline: true,
    });
    expect(stdout.split('\n').slice(0, 2)).toEqual(['export.json', 'tree/']);
    await execa('zstd', ['--test', '--quiet', good]);
  });

  it('is not made of a tree with devices', async () => {
    const other = await makeVersion(join(dir, 'devices'));
    await execa('mknod', [join(other.path, 'disk'), 'b', '8', '0']);
    const file = join(dir, 'devices.tar.zst');
    await expect(exportVersion(other, file, how)).rejects.toMatchObject({
      message: `Version ${VERSION} of "small" has devices, which no import takes.`,
      details: ['/disk'],
    });
  });

  it('that is stopped leaves nothing', async () => {
    const place = await mkdtemp(join(dir, 'stopped-'));
    const abort = new AbortController();
    const file = join(place, 'file');
    const step = (text: string): void => {
      if (text === 'packing the tree') abort.abort();
    };
    const run = exportVersion(version, file, { ...how, signal: abort.signal, step });
    await expect(run).rejects.toMatchObject({ name: 'Stopped' });
    expect(readdirSync(place)).toEqual([]);
  });
});

async function makeVersionWithoutHoles(): Promise<typeof version> {
  const path = join(dir, 'plain/tree');
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'file'), 'content');
  await symlink('file', join(path, 'link'));
  return { name: NAME, version: VERSION, path };
}

describe('an import', () => {
  it('is the tree to the letter, and tells what it was', async () => {
    const record = await unpackExport(good, building, how);
    expect(await everything(join(building, 'tree'))).toEqual(expected);
    expect(readdirSync(building)).toEqual(['tree']);
    expect(record).toMatchObject({
      ...{ format: 1, name: NAME, version: VERSION, created: '2026-11-20T22:31:36.000Z' },
      digest: await digestTree(version.path),
      versionRecord: { format: 2, name: 'small' },
      machine: null,
    });
  });

  it(`with one of ${FLIPS} bytes changed is refused`, async () => {
    const bytes = readFileSync(good);
    const file = join(dir, 'flipped');
    for (let tried = 0; tried < FLIPS; tried++) {
      const changed = Buffer.from(bytes);
      const at = random.below(bytes.length);
      changed[at] = (changed[at] ?? 0) ^ (1 + random.below(255));
      writeFileSync(file, changed);
      await expectRefused(file);
    }
  });

  it('with any bit of its first bytes changed is refused, those too that zstd does not look at', async () => {
    const bytes = readFileSync(good);
    const file = join(dir, 'bits');
    for (let bit = 0; bit < 18 * 8; bit++) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      writeFileSync(file, changed);
      await expectRefused(file);
    }
  });

  it('that is cut off anywhere is refused', async () => {
    const file = join(dir, 'cut');
    const { size } = lstatSync(good);
    writeFileSync(file, readFileSync(good));
    const lengths = Array.from({ length: 30 }, () => random.below(size)).sort((a, b) => b - a);
    for (const length of [size - 1, ...lengths, 1, 0]) {
      await truncate(file, length);
      await expectRefused(file);
    }
  });

  it(
    'with a byte changed and a new seal is refused, or the same tree',
    { timeout: 300_000 },
    async () => {
      const bytes = readFileSync(good).subarray(0, -116);
      const file = join(dir, 'sealed-again');
      const digest = await digestTree(version.path);
      let same = 0;
      for (let tried = 0; tried < FLIPS; tried++) {
        const changed = Buffer.from(bytes);
        // The bits that no program looks at are in the first bytes.
        const at = tried < 12 ? tried : random.below(bytes.length);
        changed[at] = (changed[at] ?? 0) ^ (1 << random.below(8));
        writeFileSync(file, changed);
        await sealFile(file);
        const record = await unpackExport(file, building, how).catch((error: unknown) => {
          expect(error).toMatchObject({ name: 'SettingsError' });
        });
        if (record !== undefined) {
          same += 1;
          expect(record.digest).toBe(digest);
          expect(await everything(join(building, 'tree'))).toEqual(expected);
        }
        await removeTreeDirectory(join(building, 'tree'));
      }
      console.log(`${same} of ${FLIPS} changes under a new seal were of no account`);
      expect(same).toBeLessThan(FLIPS / 10);
    },
  );

  it.each<[string, (members: readonly Member[]) => readonly Member[], string]>([
    [
      'another content',
      (all) => [...all.slice(0, -1), { path: 'tree/file', content: 'y' }],
      'digest',
    ],
    ['a file more', (all) => [...all, { path: 'tree/more' }], 'has the digest'],
    ['a way out', (all) => [...all, { path: '/etc/passwd' }], '"/etc/passwd" in it is not in its'],
    ['a disk', (all) => [...all, { path: 'tree/x', type: '4', device: [8, 0] }], 'is a device'],
    [
      'a file below a link',
      (all) => [...all, { path: 'tree/l', type: '2', target: '/var/tmp' }, { path: 'tree/l/evil' }],
      'is in no directory',
    ],
  ])('of an archive with %s is refused, and says so', async (_, change, sentence) => {
    const source = join(building, 'source/tree');
    mkdirSync(source, { recursive: true });
    writeFileSync(join(source, 'file'), 'x');
    const [digest] = [await digestTree(source)];
    await rm(join(building, 'source'), { recursive: true });
    const record = {
      ...{ format: 1, name: NAME, version: VERSION, created: '', digest, bytes: 1, files: 1 },
      ...{ versionRecord: null, machine: null },
    };
    const members: readonly Member[] = [
      { path: 'export.json', content: JSON.stringify(record) },
      { path: 'tree/', type: '5' },
      { path: 'tree/file', content: 'x' },
    ];
    expect(await unpackExport(await packed(members), building, how)).toEqual(record);
    await removeTreeDirectory(join(building, 'tree'));
    const file = await packed(change(members));
    const error = await expectRefused(file);
    expect(error).toMatchObject({ message: `"${file}" is not imported.` });
    expect((error as { details: string[] }).details.join('\n')).toContain(sentence);
  });

  it.each(['/nonexistent/file', '/dev/null', '/etc'])('of %s is refused', async (file) => {
    await expectRefused(file);
  });
});

async function packed(members: readonly Member[]): Promise<string> {
  const file = join(dir, 'packed.tar');
  writeFileSync(file, tarOf(...members));
  await execa('zstd', ['--quiet', '--force', '--check', file]);
  await sealFile(`${file}.zst`);
  return `${file}.zst`;
}

describe.skipIf(!hasDisks)('from one file system to another', () => {
  const disks = new Map<string, LoopFileSystem>();
  beforeAll(async () => {
    for (const kind of KINDS) disks.set(kind, await makeLoopFileSystem(kind, 1));
  });
  afterAll(async () => {
    for (const disk of disks.values()) await disk.remove();
  });

  it.each(KINDS.flatMap((from) => KINDS.map((to) => [from, to] as const)))(
    '%s to %s',
    async (from, to) => {
      const [source, target] = [disks.get(from)?.path ?? '', disks.get(to)?.path ?? ''];
      const place = await mkdtemp(join(source, 'from-'));
      const made = await makeVersion(join(place, 'version'));
      const file = join(place, 'export.tar.zst');
      await exportVersion(made, file, how);
      const into = await mkdtemp(join(target, 'building-'));
      await unpackExport(file, into, how);
      expect(await everything(join(into, 'tree'))).toEqual(await everything(made.path));
      for (const path of [place, into]) await removeTreeDirectory(path);
    },
  );
});
