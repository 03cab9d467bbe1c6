import { execa } from 'execa';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MARK, markTempDir } from '../../../src/machine/temp-dir-mark.ts';
import type { Case } from '../../../src/reaper/finding.ts';
import { forgetLostRoots, judgeTempDir, tempDirCases } from '../../../src/reaper/temp-dirs.ts';
import { aProcess, BOOT } from './made-up.ts';

const runnerProcess = { pid: 12, startTime: '1200', bootId: BOOT };

describe('judgeTempDir', () => {
  it.each([
    ['gone', [], 'remove', 'its GitLab Runner is gone', ['process 12 is gone', 'no stage runs']],
    ['gone', [77], 'keep', 'a stage of the job runs', ['process 77']],
    ['lives', [], 'keep', 'its GitLab Runner lives', ['process 12']],
    ['lives', [77, 78], 'keep', 'a stage of the job runs', ['process 77']],
    ['unknown', [], 'keep', 'nothing proves its GitLab Runner dead', []],
    ['unknown', [77], 'keep', 'a stage of the job runs', ['process 77']],
  ] as const)(
    'of a Runner that is %s, in use by %j: %s',
    (runner, users, decision, reason, proof) => {
      expect(judgeTempDir({ runner, users }, { runnerProcess })).toEqual({
        decision,
        reason,
        proof,
      });
    },
  );
});

describe('a directory of a Runner that is gone', () => {
  let root = '';
  let stateDir = '';
  let tmpDir = '';
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'temp-dirs-test-'));
    stateDir = join(root, 'state');
    tmpDir = join(root, 'custom-executor1');
    mkdirSync(tmpDir);
    const job = { id: '7', origin: 'gitlab.example.com' };
    markTempDir({ ...job, tmpDir }, stateDir);
    writeMark('7');
  });
  afterEach(() => rmSync(root, { recursive: true }));

  function writeMark(jobId: string): void {
    const mark = { format: 1, origin: 'gitlab.example.com', jobId, runnerProcess };
    writeFileSync(join(tmpDir, MARK), JSON.stringify(mark));
  }
  function found(...users: readonly number[]): Case {
    const processes = users.map((pid) => aProcess(pid, { isStage: true, tmpDir }));
    const own = tempDirCases(stateDir, processes).find(({ things }) => things[0]?.name === tmpDir);
    if (own === undefined) throw new Error('It is not found.');
    return own;
  }
  const { signal } = new AbortController();

  it('is removed, with what is in it', async () => {
    mkdirSync(join(tmpDir, 'deep'));
    writeFileSync(join(tmpDir, 'deep/token'), 'secret');
    expect(found().verdict.decision).toBe('remove');
    expect(await found().remove(signal)).toBeUndefined();
    expect(existsSync(tmpDir)).toBe(false);
    expect(existsSync(root)).toBe(true);
  });

  it('is kept while a stage is in it', () => {
    expect(found(77).verdict).toMatchObject({ decision: 'keep', proof: ['process 77'] });
  });

  it('is kept where a stage began after the look at the host', async () => {
    const env = { TMPDIR: tmpDir, BUILD_FAILURE_EXIT_CODE: '1' };
    const stage = execa('sh', ['-c', 'echo ready; exec sleep 60'], { env, reject: false });
    try {
      await new Promise((resolve) => stage.stdout.once('data', resolve));
      const stale = found();
      expect(stale.verdict.decision).toBe('remove');
      expect(await stale.remove(signal)).toBe(
        `a stage of the job runs: process ${String(stage.pid)}`,
      );
      expect(existsSync(tmpDir)).toBe(true);
    } finally {
      stage.kill('SIGKILL');
      await stage;
    }
  });

  it('is kept where it has become another job’s', async () => {
    const judged = found();
    writeMark('8');
    expect(await judged.remove(signal)).toBe('it is another job’s now');
    expect(existsSync(tmpDir)).toBe(true);
  });

  it('may have gone by itself', async () => {
    const judged = found();
    rmSync(tmpDir, { recursive: true });
    expect(await judged.remove(signal)).toBeUndefined();
  });

  it('is not looked for any more where nothing can be', () => {
    const file = join(stateDir, 'temp-roots', 'lost');
    writeFileSync(file, join(root, 'lost'));
    forgetLostRoots(stateDir);
    expect(existsSync(file)).toBe(false);
    expect(found().verdict.decision).toBe('remove');
  });
});
