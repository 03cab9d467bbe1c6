import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync, chownSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { adoptTree, predecessorTrees } from '../../../src/chroot/adopt-tree.ts';
import { UsageError } from '../../../src/errors.ts';

let stateDir = '';
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'adopt-tree-'));
});
afterEach(() => rmSync(stateDir, { recursive: true }));

function put(path: string): void {
  mkdirSync(dirname(join(stateDir, path)), { recursive: true });
  writeFileSync(join(stateDir, path), '');
}

/** As Debian has it: merged /usr, and os-release through a link. */
function makeTree(path: string): void {
  put(`${path}/usr/lib/os-release`);
  put(`${path}/usr/lib/systemd/systemd`);
  put(`${path}/usr/bin/sh`);
  mkdirSync(join(stateDir, path, 'etc'));
  symlinkSync('../usr/lib/os-release', join(stateDir, path, 'etc/os-release'));
  symlinkSync('usr/bin', join(stateDir, path, 'bin'));
  symlinkSync('/usr/lib', join(stateDir, path, 'lib'));
}

function building(): string {
  const path = join(stateDir, 'chroots/ci/building-1');
  mkdirSync(path, { recursive: true });
  return join(path, 'tree');
}

const how = {
  lockFd: 0,
  onLine: () => undefined,
  signal: new AbortController().signal,
};

// A tree is root's.
describe.runIf(process.getuid?.() === 0)('predecessorTrees', () => {
  it('are the trees directly in the state directory', async () => {
    for (const name of ['sid', 'bookworm', 'chroots', '.overlays']) makeTree(name);
    put('settings.yaml');
    put('empty/etc/x');
    put('bookworm.yaml');
    makeTree('elsewhere/deeper');
    symlinkSync('sid', join(stateDir, 'link'));
    makeTree('not a name');
    makeTree('shifted');
    chownSync(join(stateDir, 'shifted'), 65536, 65536);
    expect(await predecessorTrees(stateDir)).toEqual([
      { name: 'bookworm', path: join(stateDir, 'bookworm') },
      { name: 'sid', path: join(stateDir, 'sid') },
    ]);
  });

  it('are none without a state directory', async () => {
    expect(await predecessorTrees(join(stateDir, 'absent'))).toEqual([]);
  });
});

describe.runIf(process.getuid?.() === 0)('adoptTree refuses', () => {
  async function refusal(path: string): Promise<UsageError> {
    const tree = building();
    const error: unknown = await adoptTree(path, tree, how).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UsageError);
    return error as UsageError;
  }

  it.each([
    ['chroots/debian-12/versions/1/tree', 'nspawn-runner keeps it in'],
    ['jobs/nsr1-x/merged', 'nspawn-runner keeps it in'],
    ['trash/x', 'nspawn-runner keeps it in'],
    ['cache', 'nspawn-runner keeps it in'],
  ])('%s', async (path, sentence) => {
    makeTree(path);
    const { message, details } = await refusal(join(stateDir, path));
    expect(message).toBe(`"${join(stateDir, path)}" is not another tool's tree.`);
    expect(details.join()).toContain(sentence);
  });

  it('the host and the state directory', async () => {
    for (const path of ['/', stateDir, dirname(stateDir)]) {
      expect((await refusal(path)).details.join()).toContain('in it.');
    }
  });

  it('our own through a link', async () => {
    makeTree('chroots/debian-12/versions/1/tree');
    symlinkSync('chroots/debian-12/versions/1/tree', join(stateDir, 'mine'));
    expect((await refusal(join(stateDir, 'mine'))).message).toContain("another tool's tree");
  });

  it.each([
    ['usr', 'It has no directory "usr".'],
    ['usr/lib/os-release', 'It has no "/etc/os-release".'],
    ['usr/lib/systemd/systemd', 'It has no "/usr/lib/systemd/systemd".'],
    ['usr/bin/sh', 'It has no "/bin/sh".'],
  ])('a tree without %s', async (missing, sentence) => {
    makeTree('sid');
    rmSync(join(stateDir, 'sid', missing), { recursive: true });
    expect((await refusal(join(stateDir, 'sid'))).details).toEqual([sentence]);
  });

  it('a file', async () => {
    put('sid');
    expect((await refusal(join(stateDir, 'sid'))).details).toEqual(['It is no directory.']);
  });
});
