import { default as fs, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openBuildLog } from '../../../src/chroot/build-log.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'build-log-'));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(dir, { recursive: true });
});

/** As on a full disk: each write fails a moment after it was begun. */
function fillDisk(): void {
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), {
    code: 'ENOSPC',
  });
  vi.spyOn(fs, 'write').mockImplementation((...args: unknown[]) => {
    const done = args.at(-1) as (error: Error) => void;
    setImmediate(() => done(full));
  });
}

describe('the log of a build', () => {
  it('is whole when it is flushed', async () => {
    const log = await openBuildLog(join(dir, 'build.log'));
    log.write('one');
    log.write('two');
    expect(await log.flush()).toBeUndefined();
    expect(readFileSync(log.file, 'utf8')).toBe('one\ntwo\n');
    await log.close();
  });

  it.each([
    ['one line', 1],
    ['several lines', 3],
  ])('says why it is not, with %s on its way', async (_, lines) => {
    const log = await openBuildLog(join(dir, 'build.log'));
    expect(await log.flush()).toBeUndefined();
    fillDisk();
    for (let line = 0; line < lines; line++) log.write(`line ${line}`);
    expect(await log.flush()).toMatchObject({ code: 'ENOSPC' });
    expect(await log.flush()).toMatchObject({ code: 'ENOSPC' });
    await log.close();
  });

  it('says the first reason, also while the file is closed for it', async () => {
    const log = await openBuildLog(join(dir, 'build.log'));
    await log.flush();
    const closed: (() => void)[] = [];
    const close = fs.close.bind(fs);
    vi.spyOn(fs, 'close').mockImplementation((fd, done) => {
      closed.push(() => close(fd, done));
    });
    fillDisk();
    log.write('line');
    await vi.waitFor(() => expect(closed).toHaveLength(1));
    log.write('another');
    expect(await log.flush()).toMatchObject({ code: 'ENOSPC' });
    for (const one of closed) one();
    await log.close();
  });
});
