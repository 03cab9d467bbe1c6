import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { findChroot } from '../../../src/chroot/store.ts';
import { defaultSettings } from '../../../src/settings.ts';
import { chrootFacts } from '../../../src/upkeep/chroot-facts.ts';

const [OLD, NEW] = ['20261119T220713Z-99cd6a', '20261120T220713Z-99cd6a'] as const;

let stateDir = '';
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'chroot-facts-'));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(stateDir, { recursive: true });
});

describe('a chroot with torn files', () => {
  it('is shown without them, and they are told', async () => {
    const dir = join(stateDir, 'chroots/web');
    const beside = (version: string, file: string): string => join(dir, 'versions', version, file);
    for (const version of [OLD, NEW]) {
      mkdirSync(beside(version, 'tree'), { recursive: true });
      writeFileSync(beside(version, 'version.json'), version === OLD ? '' : '{"format": 2}');
    }
    writeFileSync(beside(NEW, 'machine.json'), '');
    symlinkSync(`versions/${NEW}`, join(dir, 'current'));
    const chroot = await findChroot(stateDir, 'web');
    if (chroot === undefined) throw new Error('There is no chroot.');
    let said = '';
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      said += String(text);
      return true;
    });
    const facts = await chrootFacts(chroot, { ...defaultSettings(), stateDir });
    expect(facts).toMatchObject({
      machine: { format: 1 },
      versions: [
        { version: NEW, record: { format: 2 }, fault: undefined },
        { version: OLD, record: undefined, fault: expect.stringContaining(OLD) as string },
      ],
    });
    expect(said).toContain(`web: "${beside(OLD, 'version.json')}" cannot be understood. `);
    expect(said).toContain(`web: "${beside(NEW, 'machine.json')}" cannot be understood. `);
    expect(said).toContain('nspawn-runner chroot create NAME');
  });
});
