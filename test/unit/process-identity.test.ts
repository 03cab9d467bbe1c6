import { execa } from 'execa';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  currentBootId,
  identifyProcess,
  isAlive,
  parseStat,
  readEnvironment,
  readStat,
} from '../../src/process-identity.ts';
import { findRunner } from '../../src/runner-process.ts';

/** Above the kernel's highest number, proc_sys_kernel(5), pid_max. */
const NOBODY = 2 ** 22 + 1;

/** As Linux 6.18 writes it, with a name of one's own. */
function stat(name: string, state = 'S', parent = '12', startTime = '8812345'): string {
  return `4711 (${name}) ${state} ${parent} 4711 4711 0 -1 4194304 103 0 0 0 0 0 0 0 20 0 1 0 ${startTime} 2560000 200 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n`;
}

describe('parseStat', () => {
  const living = { parent: 12, startTime: '8812345', isDead: false };
  it.each([
    ['bash', living],
    ['tmux: server', living],
    [') (', living],
    ['a) R 1 2 3', living],
    [')))', living],
    ['(sd-pam)', living],
    ['a\nb', living],
    ['', living],
  ])('knows a process of the name %j', (name, expected) => {
    expect(parseStat(stat(name))).toEqual(expected);
  });

  it.each([
    ['R', false],
    ['D', false],
    ['T', false],
    ['I', false],
    ['Z', true],
    ['X', true],
    ['x', true],
  ])('of state %s: dead %j', (state, isDead) => {
    expect(parseStat(stat('sh', state))).toEqual({ ...living, isDead });
  });

  it.each([
    ['nothing', ''],
    ['a name alone', '4711 (sh)'],
    ['half a line', stat('sh').slice(0, 40)],
    ['a line without a name', '4711 S 12 4711'],
    ['no number for a parent', stat('sh', 'S', 'x')],
    ['no number for a start time', stat('sh', 'S', '12', '-1')],
  ])('takes %s for none', (_, text) => {
    expect(parseStat(text)).toBeUndefined();
  });
});

describe('a process', () => {
  const own = (): NonNullable<ReturnType<typeof identifyProcess>> => {
    const identity = identifyProcess(process.pid);
    if (identity === undefined) throw new Error('We are not there.');
    return identity;
  };

  it('that lives is known again', () => {
    expect(own()).toMatchObject({ pid: process.pid, bootId: currentBootId() });
    expect(isAlive(own())).toBe(true);
    expect(readStat(process.pid)?.parent).toBe(process.ppid);
  });

  it('that started at another time, or in another boot, is another one', () => {
    expect(isAlive({ ...own(), startTime: `${own().startTime}0` })).toBe(false);
    expect(isAlive({ ...own(), bootId: '00000000-0000-4000-8000-000000000000' })).toBe(false);
  });

  it.each([0, -1, NOBODY, 1.5, Number.NaN])('of the number %d is not there', (pid) => {
    expect(identifyProcess(pid)).toBeUndefined();
    expect(readEnvironment(pid)).toEqual([]);
    expect(isAlive({ ...own(), pid })).toBe(false);
  });

  it('that has ended and is not yet waited for is dead', async () => {
    // The shell becomes sleep, which never waits for the child that it has.
    const parent = execa('sh', ['-c', 'sleep 0.2 & echo $!; exec sleep 60'], { reject: false });
    try {
      const pid = Number(await new Promise((resolve) => parent.stdout.once('data', resolve)));
      await expect.poll(() => readStat(pid)?.isDead).toBe(true);
      expect(identifyProcess(pid)).toBeUndefined();
    } finally {
      parent.kill('SIGKILL');
      await parent;
    }
  });
});

describe('findRunner', () => {
  const TMP_DIR = '/tmp/custom-executor4711';

  async function withStage(
    tmpDir: string,
    look: (pid: number) => void,
    script = 'sleep 60 & echo $!; wait',
  ): Promise<void> {
    const wrapper = execa('sh', ['-c', script], { env: { TMPDIR: tmpDir }, reject: false });
    const pid = Number(await new Promise((resolve) => wrapper.stdout.once('data', resolve)));
    try {
      // Between fork and exec, and in the midst of it, a process has no environment that can be read.
      await expect.poll(() => readFileSync(`/proc/${pid}/comm`, 'utf8')).toBe('sleep\n');
      await expect.poll(() => readEnvironment(pid).includes(`TMPDIR=${tmpDir}`)).toBe(true);
      look(pid);
    } finally {
      if (pid !== wrapper.pid) process.kill(pid);
      wrapper.kill('SIGKILL');
      await wrapper;
    }
  }

  it('goes past whoever has the stage’s own TMPDIR', () =>
    withStage(TMP_DIR, (pid) => {
      expect(findRunner(TMP_DIR, pid)).toEqual(identifyProcess(process.pid));
    }));

  it('takes a TMPDIR that only begins alike for another', () =>
    withStage(`${TMP_DIR}1`, (pid) => {
      expect(findRunner(TMP_DIR, pid)).toEqual(identifyProcess(pid));
    }));

  it('is not sure where an environment cannot be read', () => {
    expect(findRunner(TMP_DIR, NOBODY)).toBeUndefined();
    expect(findRunner(undefined)).toBeUndefined();
  });
});
