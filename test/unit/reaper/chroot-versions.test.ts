import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chrootVersionCases } from '../../../src/reaper/chroot-versions.ts';

const [OLD, NEW] = ['20261119T220713Z-99cd6a', '20261120T220713Z-99cd6a'] as const;

let stateDir = '';
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'chroot-versions-'));
});
afterEach(() => {
  rmSync(stateDir, { recursive: true });
});

function plant(name: string, record: string): string {
  const dir = join(stateDir, 'chroots', name);
  for (const version of [OLD, NEW]) {
    mkdirSync(join(dir, 'versions', version, 'tree'), { recursive: true });
  }
  symlinkSync(`versions/${NEW}`, join(dir, 'current'));
  const path = join(dir, 'versions', NEW, 'version.json');
  writeFileSync(path, record);
  return path;
}

describe('old versions of chroots', () => {
  it('are kept where the record of the current one is torn, and others are judged', async () => {
    const path = plant('a', '{');
    plant('b', '{"format": 2, "keep": 0}');
    plant('c', '{"format": 2, "keep": 1}');
    const cases = await chrootVersionCases(stateDir);
    expect(cases.map(({ things, verdict }) => ({ things, ...verdict }))).toEqual([
      {
        things: [{ kind: 'chroot-version', name: `a/${OLD}` }],
        decision: 'keep',
        reason: 'the record of the current version cannot be read',
        proof: [`"${path}" cannot be understood`],
      },
      {
        things: [{ kind: 'chroot-version', name: `b/${OLD}` }],
        decision: 'remove',
        reason: 'it was replaced',
        proof: ['it is not the current version', 'no record of a job names it'],
      },
    ]);
  });
});
