import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  newVersion,
  readUpstream,
  readVersionRecord,
  replaceFile,
  writeKeep,
  writeUpstream,
  writeVersionRecord,
  type VersionRecord,
} from '../../../src/chroot/version.ts';
import { HostError } from '../../../src/errors.ts';

const RECORD: Omit<VersionRecord, 'format'> = {
  name: 'web',
  version: '20261120T220713Z-99cd6a',
  created: '2026-11-20T22:07:13.000Z',
  origin: 'build',
  recipe: { file: '/etc/nspawn-runner/recipes/web.yaml', digest: 'd1' },
  parent: { name: 'debian-12', version: '20261119T000000Z-000000' },
  source: { extends: 'debian-12/20261119T000000Z-000000' },
  environment: { NODE_ENV: 'test' },
  keep: 1,
  nspawnRunner: '0.1.0',
  trial: { bootSec: 0.4, state: 'running', checks: ['shell'] },
  bytes: 300_000_000,
  files: 9_000,
  setuid: ['/usr/bin/su'],
};

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'version-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});
const write = (text: string): void => writeFileSync(join(dir, 'version.json'), text);

describe('the record of a version', () => {
  it('is read as it was written', async () => {
    await writeVersionRecord(dir, RECORD);
    expect(await readVersionRecord(dir)).toEqual({ format: 2, ...RECORD });
  });

  it('is written once', async () => {
    await writeVersionRecord(dir, RECORD);
    await expect(writeVersionRecord(dir, RECORD)).rejects.toThrow(/EEXIST/);
  });

  it('is none where there is none, and for the first format', async () => {
    expect(await readVersionRecord(dir)).toBeUndefined();
    write('{"format": 1, "name": "web"}');
    expect(await readVersionRecord(dir)).toBeUndefined();
  });

  it.each(['', '{', 'null', '[]', '3', '{"format": 3}', '{"name": "web"}'])(
    'is not guessed from %j',
    async (text) => {
      write(text);
      const error: unknown = await readVersionRecord(dir).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(HostError);
      expect(error).toMatchObject({
        message: `"${join(dir, 'version.json')}" cannot be understood.`,
        details: ['It is torn, or a newer nspawn-runner wrote it.'],
        hint: 'Use that nspawn-runner, or make a new version: nspawn-runner chroot create NAME.',
      });
    },
  );

  it('that cannot be read is no missing one', async () => {
    mkdirSync(join(dir, 'version.json'));
    const error: unknown = await readVersionRecord(dir).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(HostError);
    expect(error).toMatchObject({ message: `"${join(dir, 'version.json')}" cannot be read.` });
  });

  it('gets another keep count, and nothing else changes', async () => {
    await writeVersionRecord(dir, RECORD);
    await writeKeep(dir, 3);
    expect(await readVersionRecord(dir)).toEqual({ format: 2, ...RECORD, keep: 3 });
    expect(readdirSync(dir)).toEqual(['version.json']);
  });

  it('is not made for a version without one', async () => {
    await writeKeep(dir, 3);
    expect(readdirSync(dir)).toEqual([]);
  });
});

describe('what upstream offered', () => {
  it('is kept beside the record and replaced whole', async () => {
    expect(await readUpstream(dir)).toBeUndefined();
    await writeUpstream(dir, 'first');
    await writeUpstream(dir, 'second');
    expect(await readUpstream(dir)).toBe('second');
    expect(readFileSync(join(dir, 'upstream'), 'utf8')).toBe('second\n');
    expect(readdirSync(dir)).toEqual(['upstream']);
  });
});

describe('a file that is replaced', () => {
  it('is on the disk before it has its name, and then its directory', async () => {
    const path = join(dir, 'machine.json');
    const probe = await open(dir, 'r');
    const handles = Object.getPrototypeOf(probe) as typeof probe;
    await probe.close();
    const seen: (readonly string[])[] = [];
    const sync = vi.spyOn(handles, 'sync').mockImplementation(() => {
      seen.push(readdirSync(dir));
      return Promise.resolve();
    });
    await replaceFile(path, 'new\n').finally(() => sync.mockRestore());
    expect(seen).toEqual([['machine.json.new'], ['machine.json']]);
    expect(readFileSync(path, 'utf8')).toBe('new\n');
  });
});

describe('names of versions', () => {
  it('sort by time, and two of one second differ', () => {
    const names = [1, 2, 59, 60].map((second) => newVersion(new Date(second * 1000)));
    expect(names).toEqual([...names].sort());
    const now = new Date();
    const many = new Set(Array.from({ length: 100 }, () => newVersion(now)));
    expect(many.size).toBeGreaterThan(98);
  });
});
