import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHROOT_PROGRAM, playbookArguments } from '../../../src/tools/ansible-playbook.ts';
import { run } from '../../../src/tools/exec.ts';
import { findProgram } from '../../../src/tools/find-program.ts';

const files = { config: '/t/cfg', localTemp: '/t/local', home: undefined };

describe('playbookArguments', () => {
  it.each([
    [undefined, ['--inventory=/t/inv', '--', '/p/ci.yaml']],
    ['/t/vars', ['--inventory=/t/inv', '--extra-vars=@/t/vars', '--', '/p/ci.yaml']],
  ])('with variables %s', (variables, expected) => {
    const what = { ...files, playbook: '/p/ci.yaml', inventory: '/t/inv', variables };
    expect(playbookArguments(what)).toEqual(expected);
  });
});

const python = await findProgram('python3');

describe.skipIf(python === undefined)('the chroot program', () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'chroot program '));
    writeFileSync(join(dir, 'chroot'), CHROOT_PROGRAM, { mode: 0o700 });
    writeFileSync(join(dir, 'chroot.json'), JSON.stringify(['printf', '[%s]', "it's $HOME", '--']));
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  it('puts its words for the tree, and leaves the command as it is', async () => {
    const command = ['/bin/sh', '-c', 'echo "a  b"; x\n'];
    const { stdout } = await run(join(dir, 'chroot'), ['/tree', ...command]);
    expect(stdout).toBe(`[it's $HOME][--][/bin/sh][-c][echo "a  b"; x\n]`);
  });
});
