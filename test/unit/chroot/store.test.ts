import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findChroot, listChroots, versionTime } from '../../../src/chroot/store.ts';
import { newVersion } from '../../../src/chroot/version.ts';

const VERSION = '20261120T220713Z-99cd6a';
let stateDir = '';
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'store-'));
});
afterEach(() => {
  rmSync(stateDir, { recursive: true });
});

function version(name: string, version = VERSION): string {
  const dir = join(stateDir, 'chroots', name);
  mkdirSync(join(dir, 'versions', version, 'tree'), { recursive: true });
  return dir;
}

function chroot(name: string): void {
  symlinkSync(`versions/${VERSION}`, join(version(name), 'current'));
}

describe('chroots that jobs can use', () => {
  it('are none where nothing is', async () => {
    expect(await listChroots('/nowhere')).toEqual([]);
    expect(await findChroot('/nowhere', 'debian-12')).toBeUndefined();
  });

  it('are found by name and listed in order', async () => {
    for (const name of ['debian-13', 'debian-12', 'Old.one_2']) chroot(name);
    const found = await findChroot(stateDir, 'debian-12');
    expect(found).toEqual({
      name: 'debian-12',
      version: VERSION,
      path: join(stateDir, 'chroots/debian-12/versions', VERSION, 'tree'),
      createdAt: new Date('2026-11-20T22:07:13Z'),
    });
    const listed = await listChroots(stateDir);
    expect(listed.map(({ name }) => name)).toEqual(['Old.one_2', 'debian-12', 'debian-13']);
  });

  it.each<[string, (dir: string) => void]>([
    ['there is no current version', () => undefined],
    ['current is a file', (dir) => writeFileSync(join(dir, 'current'), VERSION)],
    ['current is a directory', (dir) => mkdirSync(join(dir, 'current'))],
    ['current leads out', (dir) => symlinkSync('../../../etc', join(dir, 'current'))],
    ['current leads out by its version', (dir) => symlinkSync('versions/..', join(dir, 'current'))],
    [
      'current is absolute',
      (dir) => symlinkSync(join(dir, 'versions', VERSION), join(dir, 'current')),
    ],
    ['current is a build', (dir) => symlinkSync(`building-${VERSION}`, join(dir, 'current'))],
    [
      'the version is gone',
      (dir) => symlinkSync('versions/20261120T220713Z-000000', join(dir, 'current')),
    ],
    [
      'its tree is a link',
      (dir) => {
        rmSync(join(dir, 'versions', VERSION, 'tree'), { recursive: true });
        symlinkSync('/', join(dir, 'versions', VERSION, 'tree'));
        symlinkSync(`versions/${VERSION}`, join(dir, 'current'));
      },
    ],
  ])('are not those where %s', async (_, damage) => {
    damage(version('debian-12'));
    chroot('debian-13');
    writeFileSync(join(stateDir, 'chroots/a-file'), '');
    expect(await findChroot(stateDir, 'debian-12')).toBeUndefined();
    expect((await listChroots(stateDir)).map(({ name }) => name)).toEqual(['debian-13']);
  });

  it.each(['..', '.', '', '../chroots/debian-12', 'debian-12/', '.hidden'])(
    'have no name like %j',
    async (name) => {
      chroot('debian-12');
      expect(await findChroot(stateDir, name)).toBeUndefined();
    },
  );
});

describe('versions', () => {
  it('tell their time', () => {
    const now = new Date('2026-01-02T03:04:05.678Z');
    expect(newVersion(now)).toMatch(/^20260102T030405Z-[0-9a-f]{6}$/);
    expect(versionTime(newVersion(now))).toEqual(new Date('2026-01-02T03:04:05Z'));
  });

  it.each(['', 'tree', '20261320T220713Z-99cd6a', '20261120T220713-99cd6a', `${VERSION}.old`])(
    'are not %j',
    (name) => {
      expect(versionTime(name)).toBeUndefined();
    },
  );
});
