import { execa } from 'execa';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lookUpAccount } from '../../../src/machine/account.ts';
import { existsInTree, readInTree } from '../../../src/tools/tree-path.ts';

const SECRET = 'secret:x:1:1::/:/bin/sh\n';
const MAX_BYTES = 1024 * 1024;
let top = '';
let tree = '';
let file = '';

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'tree-path-'));
  tree = join(top, 'tree');
  file = join(tree, 'etc/passwd');
  mkdirSync(join(tree, 'etc'), { recursive: true });
  writeFileSync(join(top, 'secret'), SECRET);
});
afterEach(() => rmSync(top, { recursive: true }));

/** What is no file of the tree's own, however it is put there. */
const others: readonly (readonly [string, () => unknown])[] = [
  ['an absolute link to the host', () => symlinkSync(join(top, 'secret'), file)],
  ['a link that climbs out', () => symlinkSync('../../secret', file)],
  ['a link in circles', () => symlinkSync('passwd', file)],
  ['a FIFO', () => execa('mkfifo', [file])],
  ['a directory', () => mkdirSync(file)],
  [
    'a huge file',
    () => {
      writeFileSync(file, SECRET);
      truncateSync(file, MAX_BYTES + 1);
    },
  ],
  ['nothing', () => undefined],
];

describe('the text of a file of a tree', () => {
  it('is what is there', async () => {
    writeFileSync(file, 'text');
    expect(await readInTree(tree, '/etc/passwd')).toBe('text');
  });

  it('is found through links, which stay in the tree', async () => {
    mkdirSync(join(tree, 'usr'));
    writeFileSync(join(tree, 'usr/passwd'), 'of the tree');
    symlinkSync('/usr/passwd', file);
    expect(await readInTree(tree, '/etc/passwd')).toBe('of the tree');
  });

  it('may have 1 MiB', async () => {
    writeFileSync(file, '');
    truncateSync(file, MAX_BYTES);
    expect(await readInTree(tree, '/etc/passwd')).toHaveLength(MAX_BYTES);
  });

  it.each(others)('is not there for %s', async (_, put) => {
    await put();
    expect(await readInTree(tree, '/etc/passwd')).toBeUndefined();
  });
});

describe('a user', () => {
  it.each(others)('is not looked for in %s', async (_, put) => {
    await put();
    await expect(lookUpAccount(tree, 'secret')).rejects.toMatchObject({
      message: 'User "secret" does not exist in the chroot.',
      details: [`${file} is no regular file of at most 1 MiB.`],
    });
  });
});

describe('a program of a tree', () => {
  it('is not one of the host, and links in circles are none', async () => {
    symlinkSync(join(top, 'secret'), join(tree, 'sh'));
    symlinkSync('loop', join(tree, 'loop'));
    expect(await existsInTree(tree, '/sh')).toBe(false);
    expect(await existsInTree(tree, '/loop')).toBe(false);
  });
});
