import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { isStandardDevice } from '../../../src/chroot/standard-devices.ts';
import { pathOnHost, summarizeTree, walkTree } from '../../../src/chroot/tree-list.ts';

let tree = '';
beforeEach(() => {
  tree = mkdtempSync(join(tmpdir(), 'tree-'));
});
afterEach(() => {
  rmSync(tree, { recursive: true });
});

async function entries(): Promise<string[]> {
  const found: string[] = [];
  for await (const batch of walkTree(tree)) {
    found.push(...batch.map(({ path, kind }) => `${kind} ${path}`));
  }
  return found.sort();
}

it('a walk sees every entry once, under the bytes of its name, and follows no link', async () => {
  mkdirSync(join(tree, 'a/b'), { recursive: true });
  writeFileSync(join(tree, 'a/b/grün\n'), '');
  symlinkSync('/', join(tree, 'a/host'));
  const odd = Buffer.concat([Buffer.from(`${tree}/a/`), Buffer.from([0xff])]);
  writeFileSync(odd, '');
  expect(await entries()).toEqual([
    'directory /a',
    'directory /a/b',
    'file /a/b/gr\xc3\xbcn\n',
    'file /a/\xff',
    'link /a/host',
  ]);
  expect(pathOnHost(tree, '/a/\xff')).toEqual(odd);
  expect(pathOnHost(tree, '/a/b')).toBe(`${tree}/a/b`);
});

it('a summary counts a file with two names once, and knows set-user-ID files', async () => {
  mkdirSync(join(tree, 'bin'));
  writeFileSync(join(tree, 'bin/su'), 'x'.repeat(10));
  writeFileSync(join(tree, 'bin/grün'), 'x'.repeat(5));
  writeFileSync(join(tree, 'plain'), 'x'.repeat(3));
  linkSync(join(tree, 'bin/su'), join(tree, 'bin/again'));
  symlinkSync('su', join(tree, 'bin/link'));
  chmodSync(join(tree, 'bin/su'), 0o4755);
  chmodSync(join(tree, 'bin/grün'), 0o2755);
  chmodSync(join(tree, 'bin'), 0o2755);
  expect(await summarizeTree(tree)).toEqual({
    bytes: 18,
    files: 5,
    setuid: ['/bin/again', '/bin/grün', '/bin/su'],
    devices: [],
  });
});

it('an empty tree has nothing', async () => {
  expect(await summarizeTree(tree)).toEqual({ bytes: 0, files: 0, setuid: [], devices: [] });
});

it.each([
  ['/dev/null', undefined, true],
  ['/dev/null', '1:3', true],
  ['/dev/null', '1:1', false],
  ['/null', '1:3', false],
  ['/dev/sda', '8:0', false],
])('%s %s is a standard device: %s', (path, device, expected) => {
  expect(isStandardDevice(path, device)).toBe(expected);
});
