import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { evidencePaths, isInside, removeFileBelow, resolvePath } from '../../../src/vm/paths.ts';
import { readSmallFile } from '../../../src/vm/small-file.ts';

let base: string;
let job: string;
let person: string;

beforeEach(async () => {
  base = await realpath(await mkdtemp(join(tmpdir(), 'vm-paths-')));
  job = join(base, 'builds/job');
  person = join(base, 'person');
  await mkdir(join(job, 'vms'), { recursive: true });
  await mkdir(person);
  await writeFile(join(job, 'vms/disk'), '');
  await writeFile(join(person, 'disk'), '');
  await symlink(person, join(job, 'link'));
  await symlink(join(person, 'disk'), join(job, 'linked-disk'));
  await symlink(job, join(person, 'to-job'));
});

afterEach(async () => {
  await rm(base, { recursive: true, force: true });
});

describe('a path', () => {
  it('is resolved as far as it exists', async () => {
    expect(await resolvePath(join(job, 'link/no/such'))).toBe(join(person, 'no/such'));
    expect(await resolvePath('/no/such')).toBe('/no/such');
  });

  it('is evidence as it is named and as it is', async () => {
    expect(await evidencePaths([join(job, 'link/disk'), undefined, 'relative', '/a/../b'])).toEqual(
      [join(job, 'link/disk'), join(person, 'disk'), '/b'],
    );
  });

  it.each([
    ['vms/disk', true],
    ['vms/no/such', true],
    ['link/disk', false],
    ['linked-disk', false],
    ['../job2/disk', false],
    ['../../person/to-job/vms/disk', true],
  ])('%s is inside: %s', async (path, expected) => {
    expect(await isInside(join(job, path), [job])).toBe(expected);
  });
});

describe('removing a file below directories', () => {
  it.each([
    ['vms/disk', true],
    ['vms/gone', true],
    ['../../person/to-job/vms/disk', true],
    ['link/disk', false],
    ['../../person/disk', false],
  ])('%s: %s', async (path, expected) => {
    expect(await removeFileBelow(join(job, path), [job])).toBe(expected);
    expect(existsSync(join(person, 'disk'))).toBe(true);
    expect(existsSync(join(job, 'vms/disk'))).toBe(!expected || path === 'vms/gone');
  });

  it('removes neither a link nor a directory', async () => {
    await expect(removeFileBelow(join(job, 'linked-disk'), [job])).rejects.toThrow('no plain file');
    await expect(removeFileBelow(join(job, 'vms'), [job])).rejects.toThrow('no plain file');
    expect(await removeFileBelow(job, [job])).toBe(false);
    expect(existsSync(join(person, 'disk'))).toBe(true);
  });
});

describe('a small file', () => {
  it('is read if it is one', async () => {
    await writeFile(join(base, 'file'), 'text');
    expect(await readSmallFile(join(base, 'file'), 10)).toBe('text');
    expect(await readSmallFile(join(base, 'gone'), 10)).toBeUndefined();
    expect(await readSmallFile(join(base, 'file/below'), 10)).toBeUndefined();
    await expect(readSmallFile(join(base, 'file'), 3)).rejects.toThrow('too long');
    await expect(readSmallFile(join(job, 'linked-disk'), 10)).rejects.toThrow('cannot be read');
    await expect(readSmallFile(person, 10)).rejects.toThrow('no file');
  });
});
