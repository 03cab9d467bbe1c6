import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkSeal, sealFile } from '../../../src/chroot/export-seal.ts';
import { fuzz } from '../fuzz.ts';

let dir = '';
let path = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'seal-'));
  path = join(dir, 'file');
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

describe('a seal', () => {
  it('tells what sha256sum(1) would, of the file with it', async () => {
    writeFileSync(path, 'content');
    const sealed = await sealFile(path);
    const sha256 = createHash('sha256').update(readFileSync(path)).digest('hex');
    expect(sealed).toEqual({ sha256, bytes: statSync(path).size });
    expect(await checkSeal(path)).toEqual(sealed);
    expect(readFileSync(path, 'latin1').slice(0, 7)).toBe('content');
  });

  it('is a frame that zstd skips', async () => {
    writeFileSync(path, 'content');
    await sealFile(path);
    const seal = readFileSync(path).subarray(7);
    // RFC 8878, §3.1.2: 0x184D2A5? and the length of the rest, both little-endian.
    expect(seal.readUInt32LE(0) & 0xfffffff0).toBe(0x184d2a50);
    expect(seal.readUInt32LE(4)).toBe(seal.length - 8);
  });

  it('breaks with any byte, any cut and any addition', async () => {
    const random = fuzz('export seal');
    writeFileSync(path, Buffer.alloc(50, 'content'));
    await sealFile(path);
    const good = readFileSync(path);
    for (let at = 0; at < good.length; at++) {
      const changed = Buffer.from(good);
      changed[at] = ((changed[at] ?? 0) + 1 + random.below(255)) % 256;
      writeFileSync(path, changed);
      await expect(checkSeal(path), `byte ${at}`).rejects.toThrow('is not what "nspawn-runner');
      writeFileSync(path, good.subarray(0, at));
      await expect(checkSeal(path), `cut at ${at}`).rejects.toThrow('is not what "nspawn-runner');
    }
    writeFileSync(path, Buffer.concat([good, Buffer.from('x')]));
    await expect(checkSeal(path)).rejects.toThrow('is not what "nspawn-runner');
  });

  it('says both sums', async () => {
    writeFileSync(path, 'content');
    await sealFile(path);
    const good = readFileSync(path);
    writeFileSync(path, Buffer.concat([Buffer.from('CONTENT'), good.subarray(7)]));
    const sum = (text: string): string => createHash('sha256').update(text).digest('hex');
    await expect(checkSeal(path)).rejects.toMatchObject({
      details: [`Its SHA-256 is "${sum('CONTENT')}".`, `Its seal says "${sum('content')}".`],
    });
  });

  it('is looked for in files only', async () => {
    await expect(checkSeal(dir)).rejects.toThrow(`"${dir}" is no file.`);
  });
});
