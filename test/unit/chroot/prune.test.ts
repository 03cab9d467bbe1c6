import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  closeSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  listVersions,
  oldVersions,
  pruneVersions,
  type OldVersion,
  type VersionsInUse,
} from '../../../src/chroot/prune.ts';
import { HostError } from '../../../src/errors.ts';
import { tryLock } from '../../../src/tools/flock.ts';

/** Oldest first; the last one is current. */
const [V1, V2, V3, V4, V5] = ['01', '02', '03', '04', '05'].map(
  (day) => `202611${day}T000000Z-00000a`,
) as [string, string, string, string, string];
const ALL = [V1, V2, V3, V4, V5];

let stateDir = '';
let dir = '';
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'prune-'));
  dir = join(stateDir, 'chroots/web');
  for (const version of ALL) {
    mkdirSync(join(dir, 'versions', version, 'tree/etc'), { recursive: true });
    writeFileSync(join(dir, 'versions', version, 'tree/etc/motd'), version);
  }
  symlinkSync(`versions/${V5}`, join(dir, 'current'));
});
afterEach(() => {
  rmSync(stateDir, { recursive: true });
});

function keep(count: number): void {
  const record = { format: 2, name: 'web', version: V5, keep: count };
  writeFileSync(join(dir, 'versions', V5, 'version.json'), JSON.stringify(record));
}
const uses =
  (...versions: string[]) =>
  (): Promise<VersionsInUse> =>
    Promise.resolve({
      versions: versions.map((version) => ({ chroot: 'web', version })),
      isCertain: true,
    });
const there = (): readonly string[] => readdirSync(join(dir, 'versions')).sort();
const fates = (old: readonly OldVersion[]) =>
  old.map(({ version, fate }) => `${version.slice(6, 8)} ${fate}`).join(', ');
const prune = (inUse = uses()) => pruneVersions(stateDir, 'web', inUse);

describe('old versions', () => {
  it('are listed, newest first', async () => {
    mkdirSync(join(dir, 'versions/not-a-version'));
    expect(await listVersions(stateDir, 'web')).toEqual([...ALL].reverse());
    expect(await listVersions(stateDir, 'none')).toEqual([]);
  });

  it.each<[string, number | undefined, readonly string[], string, readonly string[]]>([
    ['go', 0, [], '04 remove, 03 remove, 02 remove, 01 remove', [V5]],
    ['stay as many as are kept', 2, [], '04 kept, 03 kept, 02 remove, 01 remove', [V3, V4, V5]],
    ['stay all', 100, [], '04 kept, 03 kept, 02 kept, 01 kept', ALL],
    [
      'stay one where nobody says',
      undefined,
      [],
      '04 kept, 03 remove, 02 remove, 01 remove',
      [V4, V5],
    ],
    [
      'stay while jobs use them',
      0,
      [V1, V3],
      '04 remove, 03 in-use, 02 remove, 01 in-use',
      [V1, V3, V5],
    ],
    [
      'count as kept also when used',
      1,
      [V4],
      '04 in-use, 03 remove, 02 remove, 01 remove',
      [V4, V5],
    ],
    ['do not mind the current one', 0, [V5], '04 remove, 03 remove, 02 remove, 01 remove', [V5]],
  ])('%s', async (_, count, used, expected, left) => {
    if (count !== undefined) keep(count);
    expect(fates(await oldVersions(stateDir, 'web', uses(...used)))).toBe(expected);
    expect(there()).toEqual(ALL);
    expect(fates(await prune(uses(...used)))).toBe(expected);
    expect(there()).toEqual(left);
    expect(readlinkSync(join(dir, 'current'))).toBe(`versions/${V5}`);
    expect(readdirSync(dir).sort()).toEqual(['build.lock', 'current', 'versions']);
  });

  it('stay all while a record cannot be read', async () => {
    keep(0);
    const unsure = (): Promise<VersionsInUse> =>
      Promise.resolve({ versions: [], isCertain: false });
    expect(fates(await prune(unsure))).toBe('04 in-use, 03 in-use, 02 in-use, 01 in-use');
    expect(there()).toEqual(ALL);
  });

  it('of another chroot are none of its own', async () => {
    keep(0);
    const other = (): Promise<VersionsInUse> =>
      Promise.resolve({ versions: [{ chroot: 'api', version: V4 }], isCertain: true });
    await prune(other);
    expect(there()).toEqual([V5]);
  });

  it('stay all where none is current', async () => {
    rmSync(join(dir, 'current'));
    expect(await prune()).toEqual([]);
    expect(there()).toEqual(ALL);
  });

  it('stay all where the current one cannot be understood', async () => {
    writeFileSync(join(dir, 'versions', V5, 'version.json'), '{');
    await expect(prune()).rejects.toThrow(HostError);
    expect(there()).toEqual(ALL);
  });

  it('may be newer than the current one', async () => {
    keep(1);
    rmSync(join(dir, 'current'));
    symlinkSync(`versions/${V2}`, join(dir, 'current'));
    expect(fates(await prune())).toBe('05 kept, 04 remove, 03 remove, 01 remove');
    expect(there()).toEqual([V2, V5]);
  });

  it('are judged by what jobs say after the current one was read', async () => {
    keep(0);
    // Meanwhile a job takes the newest of the old ones.
    expect(fates(await prune(() => Promise.resolve(uses(V4)())))).toContain('04 in-use');
    expect(there()).toEqual([V4, V5]);
  });
});

describe('a removal', () => {
  it('follows no link and touches nothing that is no version', async () => {
    keep(0);
    const outside = join(stateDir, 'precious');
    mkdirSync(outside);
    writeFileSync(join(outside, 'file'), 'x');
    symlinkSync(outside, join(dir, 'versions', V4, 'tree/link'));
    rmSync(join(dir, 'versions', V3), { recursive: true });
    symlinkSync(outside, join(dir, 'versions', V3));
    mkdirSync(join(dir, 'versions/mine'));
    await prune();
    expect(there()).toEqual([V5, 'mine']);
    expect(readdirSync(outside)).toEqual(['file']);
  });

  it('sweeps what a killed one left', async () => {
    keep(4);
    mkdirSync(join(dir, `building-removed-${V1}/tree`), { recursive: true });
    await prune();
    expect(readdirSync(dir).sort()).toEqual(['build.lock', 'current', 'versions']);
  });

  it('waits for nobody who builds', async () => {
    keep(0);
    const fd = openSync(join(dir, 'build.lock'), 'a+');
    try {
      expect(await tryLock(fd, 0)).toBe(true);
      await expect(prune()).rejects.toThrow('Chroot "web" is being built already.');
    } finally {
      closeSync(fd);
    }
    expect(there()).toEqual(ALL);
  });

  it('takes no lock where there is nothing old', async () => {
    for (const version of ALL.slice(0, -1)) {
      rmSync(join(dir, 'versions', version), { recursive: true });
    }
    expect(await prune()).toEqual([]);
    expect(existsSync(join(dir, 'build.lock'))).toBe(false);
    expect(await pruneVersions(stateDir, 'none', uses())).toEqual([]);
  });
});
