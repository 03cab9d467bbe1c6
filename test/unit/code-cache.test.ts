import { chmod, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  decodeCodeCache,
  encodeCodeCache,
  readCodeCache,
  writeCodeCache,
} from '../../src/code-cache.ts';

const cache = new Map([
  ['./run.js', Buffer.from([0, 10, 255, 10])],
  ['./exec.js', Buffer.from('second')],
]);

describe('decodeCodeCache', () => {
  it('reads what encodeCodeCache wrote', () => {
    expect(decodeCodeCache(encodeCodeCache(cache, 'b1'), 'b1')).toEqual(cache);
  });

  it('takes nothing of another build', () => {
    expect(decodeCodeCache(encodeCodeCache(cache, 'b1'), 'b2').size).toBe(0);
  });

  it('takes nothing of a file that is cut off or longer than it says', () => {
    const bytes = encodeCodeCache(cache, 'b1');
    expect(decodeCodeCache(bytes.subarray(0, -1), 'b1').size).toBe(0);
    expect(decodeCodeCache(Buffer.concat([bytes, Buffer.from('x')]), 'b1').size).toBe(0);
  });
});

// Ownership by root is the point, so nobody else can look at it.
describe.runIf(process.getuid?.() === 0)('readCodeCache', () => {
  let dir = '';
  const compiled = {
    stage: 'run',
    build: 'b1',
    known: new Map([['./exec.js', Buffer.from('second')]]),
    compiledHere: new Map([
      ['./run.js', { createCachedData: () => Buffer.from([0, 10, 255, 10]) }],
    ]),
  };
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'nspawn-runner-cache-'));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  it('reads what an earlier start of the stage wrote, and what that one had read', () => {
    writeCodeCache(compiled, dir);
    expect(readCodeCache('run', 'b1', dir)).toEqual(cache);
    expect(readCodeCache('config', 'b1', dir).size).toBe(0);
  });

  it('makes the directory', () => {
    writeCodeCache(compiled, join(dir, 'new'));
    expect(readCodeCache('run', 'b1', join(dir, 'new')).size).toBe(2);
  });

  it('is empty where there is none, and for a file of something else', async () => {
    expect(readCodeCache('run', 'b1', join(dir, 'absent')).size).toBe(0);
    await writeFile(join(dir, 'code-cache-run'), 'no cache');
    expect(readCodeCache('run', 'b1', dir).size).toBe(0);
  });

  it.each([
    ['a directory that others can write', () => chmod(dir, 0o777)],
    ['a file that the group can write', () => chmod(join(dir, 'code-cache-run'), 0o660)],
  ])('does not trust %s', async (_, spoil) => {
    writeCodeCache(compiled, dir);
    await spoil();
    expect(readCodeCache('run', 'b1', dir).size).toBe(0);
  });

  it('follows no symbolic link', async () => {
    writeCodeCache(compiled, dir);
    await symlink(join(dir, 'code-cache-run'), join(dir, 'code-cache-config'));
    await symlink(dir, `${dir}-link`);
    expect(readCodeCache('config', 'b1', dir).size).toBe(0);
    expect(readCodeCache('run', 'b1', `${dir}-link`).size).toBe(0);
    await rm(`${dir}-link`);
  });

  it('goes on where it cannot be written', async () => {
    await writeFile(join(dir, 'file'), '');
    expect(() => writeCodeCache(compiled, join(dir, 'file'))).not.toThrow();
    expect(() => writeCodeCache(compiled, join(dir, 'file', 'below'))).not.toThrow();
    // Where a recursive mkdir of Node 20 never returns.
    expect(() => writeCodeCache(compiled, '/proc/nspawn-runner')).not.toThrow();
  });
});
