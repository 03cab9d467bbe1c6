import { build } from 'esbuild';
import { execa } from 'execa';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { HostError, Stopped } from '../../../src/errors.ts';
import { isLocked, lockHolder, lockNames, withLock } from '../../../src/machine/lock.ts';
import { run } from '../../../src/tools/exec.ts';

const LOCKS = '/run/nspawn-runner/locks';

/**
 * A contender is a process of its own, as in life. Its arguments: the lock, how long it waits for
 * it, a file, what it does with the lock.
 */
const CONTENDER = `
import { appendFileSync, closeSync, openSync, unlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { withLock } from './src/machine/lock.ts';
import { start } from './src/tools/exec.ts';

const [name, waitSec, file, work, times] = process.argv.slice(2);
const works = {
  // Whoever finds the other's file is not alone.
  async alone() {
    closeSync(openSync(file + '.alone', 'wx'));
    await sleep(2);
    unlinkSync(file + '.alone');
    appendFileSync(file, process.pid + '\\n');
  },
  async helper() {
    const streams = { stdin: 'ignore', stdout: 'ignore', stderr: 'ignore' };
    const { pid } = await start('sleep', ['60'], streams);
    console.log(pid);
    await sleep(60_000);
  },
  async killed() {
    appendFileSync(file, process.pid + '\\n');
    process.kill(process.pid, 'SIGKILL');
    await sleep(60_000);
  },
};
for (let time = 0; time < Number(times ?? 1); time++) {
  await withLock(name, { waitSec: Number(waitSec) }, works[work]);
}
`;

// The locks are in /run, as everybody must find them.
describe.runIf(process.getuid?.() === 0)('a lock (wants root)', () => {
  let dir = '';
  let contender = '';
  let name = '';
  let file = '';
  let count = 0;
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'lock-test-'));
    contender = join(dir, 'contender.mjs');
    const resolveDir = join(import.meta.dirname, '../../..');
    await build({
      ...{ stdin: { contents: CONTENDER, resolveDir, loader: 'ts' }, outfile: contender },
      ...{ bundle: true, platform: 'node', format: 'esm', logLevel: 'error' },
      ...{ external: ['winston', 'execa'], define: { NSPAWN_RUNNER_VERSION: '"test"' } },
    });
  });
  afterAll(() => rmSync(dir, { recursive: true }));
  beforeEach(() => {
    // No machine's name, so that no reaper looks at it.
    name = `unit-test-${process.pid}-${++count}`;
    file = join(dir, name);
    writeFileSync(file, '');
  });
  afterEach(() => rmSync(join(LOCKS, name), { force: true }));

  const contend = (work: string, { waitSec = 60, times = 1 } = {}) =>
    execa('node', [contender, name, String(waitSec), file, work, String(times)], { reject: false });
  const lines = (): string[] => readFileSync(file, 'utf8').split('\n').slice(0, -1);

  it('is held by who works, and gone behind him', async () => {
    const value = await withLock(name, { waitSec: 0 }, async () => {
      expect(lockNames()).toContain(name);
      expect(lockHolder(name)).toBe(process.pid);
      expect(await isLocked(name)).toBe(true);
      return 'done';
    });
    expect(value).toBe('done');
    expect(existsSync(join(LOCKS, name))).toBe(false);
    expect(await isLocked(name)).toBe(false);
    expect(lockHolder(name)).toBeUndefined();
  });

  it('is gone behind work that failed', async () => {
    const work = withLock(name, { waitSec: 0 }, () => Promise.reject(new Error('no')));
    await expect(work).rejects.toThrow('no');
    expect(existsSync(join(LOCKS, name))).toBe(false);
  });

  it('is nobody’s who comes second, who is told', async () => {
    let looks = 0;
    const onBusy = (): Promise<void> => {
      looks++;
      return Promise.resolve();
    };
    await withLock(name, { waitSec: 0 }, async () => {
      const second = withLock(name, { waitSec: 0.2, onBusy }, () => Promise.resolve());
      await expect(second).rejects.toThrow(
        new HostError(`Another nspawn-runner is at work on "${name}".`, {
          details: [`Process ${process.pid}, or what it started, has not ended within 0.2 s.`],
          hint: 'Wait until it has ended, then try again.',
        }),
      );
    });
    expect(looks).toBe(1);
  });

  it('is not waited for by who is told to stop', async () => {
    await withLock(name, { waitSec: 0 }, async () => {
      const signal = AbortSignal.timeout(10);
      const second = withLock(name, { waitSec: 60, signal }, () => Promise.resolve());
      await expect(second).rejects.toThrow(Stopped);
    });
  });

  it('is held by each of 50 alone', async () => {
    const all = await Promise.all(Array.from({ length: 10 }, () => contend('alone', { times: 5 })));
    expect(all.map(({ exitCode, stderr }) => [exitCode, stderr])).toEqual(all.map(() => [0, '']));
    expect(lines()).toHaveLength(50);
    expect(existsSync(join(LOCKS, name))).toBe(false);
  }, 60_000);

  it('is free when its holder was killed, and the next one’s at once', async () => {
    const { signal } = await contend('killed');
    expect(signal).toBe('SIGKILL');
    expect(lockNames()).toContain(name);
    expect(lockHolder(name)).toBe(Number(lines()[0]));
    expect(await isLocked(name)).toBe(false);
    await withLock(name, { waitSec: 0 }, () => Promise.resolve());
    expect(lockNames()).not.toContain(name);
  });

  it('is held by what a killed holder started, until that ends', async () => {
    const holder = contend('helper');
    const helper = Number(await new Promise((resolve) => holder.stdout.once('data', resolve)));
    holder.kill('SIGKILL');
    await holder;
    expect(await isLocked(name)).toBe(true);
    const endHelper = (): Promise<void> => {
      process.kill(helper, 'SIGKILL');
      return Promise.resolve();
    };
    await expect(withLock(name, { waitSec: 0 }, () => Promise.resolve())).rejects.toThrow(
      'is at work',
    );
    await withLock(name, { waitSec: 10, onBusy: endHelper }, () => Promise.resolve());
    expect(await isLocked(name)).toBe(false);
  });

  it('is lent to programs while it is held, and to none behind that', async () => {
    const held = async (): Promise<string> =>
      (await run('sh', ['-c', 'ls -l /proc/self/fd'])).stdout;
    expect(await withLock(name, { waitSec: 0 }, held)).toContain(join(LOCKS, name));
    expect(await held()).not.toContain(name);
  });

  it('is not taken through a link', async () => {
    await execa('ln', ['-s', file, join(LOCKS, name)]);
    await expect(withLock(name, { waitSec: 0 }, () => Promise.resolve())).rejects.toThrow('ELOOP');
    expect(readFileSync(file, 'utf8')).toBe('');
    expect(await isLocked(name)).toBe(false);
  });

  it.each(['', 'x', '-1', '0', '1.5', '1 2', '9'.repeat(30)])('names nobody by %j', (text) => {
    writeFileSync(join(LOCKS, name), text);
    expect(lockHolder(name)).toBeUndefined();
  });

  it('that somebody removed while it was held leaves the next one’s alone', async () => {
    await withLock(name, { waitSec: 0 }, async () => {
      rmSync(join(LOCKS, name));
      writeFileSync(join(LOCKS, name), 'another’s');
      await Promise.resolve();
    });
    expect(readFileSync(join(LOCKS, name), 'utf8')).toBe('another’s');
  });
});
