/** Cancel, abort, timeouts, signals and pipes: what ends a job early, and what then still runs. */
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { standIn } from './stand-in.ts';

const TO_SCRIPT = ['config', 'prepare', 'prepare_script', 'get_sources', 'build_script'];
const LONG = ['echo started; sleep 60'];
const FILES = { artifacts: [{ paths: ['a'], when: 'always' as const }] };

describe('cancel', () => {
  it('of the script runs after_script and what a failure has', async () => {
    const driver = await standIn();
    const job = await driver.run({
      script: LONG,
      afterScript: ['echo "status $CI_JOB_STATUS"'],
      response: FILES,
      cancelAt: { log: /^started$/m },
    });
    expect(job).toMatchObject({ status: 'canceled', failureReason: 'job_canceled' });
    expect(job.names).toEqual([
      ...TO_SCRIPT,
      'after_script',
      'upload_artifacts_on_failure',
      'cleanup_file_variables',
      'cleanup',
    ]);
    expect(job.text('after_script')).toContain('status canceled\n');
    expect(job.stages.find(({ script }) => script === 'build_script')?.signals).toEqual([
      'SIGTERM',
    ]);
  });

  it.each(['config', 'prepare', 'prepare_script', 'get_sources'])(
    'in %s: cleanup alone follows',
    async (stage) => {
      const driver = await standIn();
      const job = await driver.run({
        afterScript: ['true'],
        env: { [`ACT_${stage}`]: 'sleep 60' },
        cancelAt: { stage, afterMs: 100 },
      });
      expect(job.status).toBe('canceled');
      expect(job.names).toEqual([...TO_SCRIPT.slice(0, TO_SCRIPT.indexOf(stage) + 1), 'cleanup']);
    },
  );

  it('in prepare is a job failure when the driver then says so', async () => {
    const driver = await standIn();
    const job = await driver.run({
      env: { ACT_prepare: 'trap "exit 1" TERM; echo trapped; sleep 60 & wait' },
      cancelAt: { log: /^trapped$/m },
    });
    expect(job).toMatchObject({ status: 'canceled', failureReason: 'script_failure' });
  });

  it.each(['after_script', 'cleanup'])('during %s changes nothing there', async (stage) => {
    const driver = await standIn();
    const job = await driver.run({
      afterScript: ['sleep 0.3; echo done'],
      env: { ACT_cleanup: 'sleep 0.3' },
      cancelAt: { stage, afterMs: 50 },
    });
    expect(job.stages.every(({ verdict }) => verdict.kind === 'success')).toBe(true);
    expect(job.log).toMatch(/^done$/m);
  });
});

describe('abort', () => {
  it.each([
    ['abortAt', 'canceled', 'job_canceled'],
    ['interruptAt', 'failed', 'runner_interrupted'],
  ] as const)('%s skips all but cleanup', async (how, status, failureReason) => {
    const driver = await standIn();
    const job = await driver.run({
      script: LONG,
      afterScript: ['true'],
      response: FILES,
      [how]: { log: /^started$/m },
    });
    expect(job).toMatchObject({ status, failureReason });
    expect(job.names).toEqual([...TO_SCRIPT, 'cleanup']);
  });

  it('begins cleanup beside a stage that does not end in time', async () => {
    const driver = await standIn();
    const job = await driver.run({
      env: { ACT_build_script: 'trap "" TERM; echo trapped; sleep 2; exit 0' },
      timing: { abortWaitSec: 0.3, gracefulKillSec: 20 },
      abortAt: { log: /^trapped$/m },
    });
    expect(job.names).toEqual([...TO_SCRIPT.slice(0, 4), 'cleanup']);
    expect(job.events.some(({ type }) => type === 'abort-wait-over')).toBe(true);
  });
});

describe('timeouts', () => {
  it("the job's own is as an abort", async () => {
    const driver = await standIn();
    const job = await driver.run({ script: LONG, afterScript: ['true'], timeout: 1 });
    expect(job).toMatchObject({ status: 'failed', failureReason: 'job_execution_timeout' });
    expect(job.names).toEqual([...TO_SCRIPT, 'cleanup']);
  });

  it('RUNNER_SCRIPT_TIMEOUT lets after_script run', async () => {
    const driver = await standIn();
    const job = await driver.run({
      script: LONG,
      afterScript: ['echo "status $CI_JOB_STATUS"'],
      variables: { RUNNER_SCRIPT_TIMEOUT: '300ms' },
    });
    expect(job.failureReason).toBe('job_execution_timeout');
    expect(job.text('after_script')).toContain('status timedout\n');
  });

  it('RUNNER_AFTER_SCRIPT_TIMEOUT ends after_script alone', async () => {
    const driver = await standIn();
    const job = await driver.run({
      afterScript: ['sleep 60'],
      variables: { RUNNER_AFTER_SCRIPT_TIMEOUT: '300ms' },
    });
    expect(job.status).toBe('success');
    expect(job.names.slice(-2)).toEqual(['cleanup_file_variables', 'cleanup']);
  });

  it('of the prepare stage is tried again, of all preparation is not', async () => {
    const driver = await standIn();
    const env = { ACT_prepare: 'sleep 60' };
    const one = await driver.run({ env, timing: { prepareTimeoutSec: 0.2, prepareAttempts: 2 } });
    expect(one.names.filter((name) => name === 'prepare')).toHaveLength(2);
    expect(one.failureReason).toBe('runner_system_failure');
    const all = await driver.run({ env, timing: { prepareStageSec: 0.2 } });
    expect(all.names).toEqual(['config', 'prepare', 'cleanup']);
    expect(all.failureReason).toBe('job_execution_timeout');
  });

  it('of get_sources covers all attempts, and cleanup alone follows', async () => {
    const driver = await standIn();
    const job = await driver.run({
      variables: { GET_SOURCES_ATTEMPTS: '5' },
      env: { ACT_get_sources: 'sleep 60' },
      timing: { getSourcesSec: 0.3 },
    });
    expect(job.names).toEqual([...TO_SCRIPT.slice(0, 4), 'cleanup']);
    expect(job.failureReason).toBe('job_execution_timeout');
  });

  it('of cleanup ends cleanup', async () => {
    const driver = await standIn();
    const job = await driver.run({
      env: { ACT_cleanup: 'sleep 60' },
      timing: { cleanupTimeoutSec: 0.3 },
    });
    expect(job.status).toBe('success');
    expect(job.log).toContain(
      'Cleanup script failed: unknown Custom executor executable exit code',
    );
  });
});

describe('processes and pipes', () => {
  it('a stage lasts as long as anyone holds its pipes', async () => {
    const driver = await standIn();
    const job = await driver.run({ env: { ACT_prepare: 'setsid sleep 1 & exit 0' } });
    const prepare = job.stages.find(({ stage }) => stage === 'prepare');
    expect((prepare?.endedMs ?? 0) - (prepare?.startedMs ?? 0)).toBeGreaterThan(900);
    expect(job.status).toBe('success');
  });

  it('a driver that ignores TERM is killed', async () => {
    const driver = await standIn();
    const job = await driver.run({
      script: LONG,
      env: { ACT_build_script: 'trap "" TERM; echo started; while :; do sleep 0.1; done' },
      timing: { gracefulKillSec: 0.3 },
      cancelAt: { log: /^started$/m },
    });
    const build = job.stages.find(({ script }) => script === 'build_script');
    expect(build?.signals).toEqual(['SIGTERM', 'SIGKILL']);
    expect(build?.end).toMatchObject({ kind: 'exited', signal: 'SIGKILL' });
    expect(job.names.at(-1)).toBe('cleanup');
  });

  it('gives up on pipes that outlive KILL', async () => {
    const driver = await standIn();
    const job = await driver.run({
      env: { ACT_build_script: 'setsid sh -c "echo apart; sleep 5" & sleep 60' },
      timing: { gracefulKillSec: 0.2, forceKillSec: 0.2 },
      cancelAt: { log: /^apart$/m },
    });
    const build = job.stages.find(({ script }) => script === 'build_script');
    expect(JSON.stringify(build?.verdict)).toMatch(
      /"failed to kill process PID=\d+, likely process is dormant"/,
    );
    expect(job.status).toBe('canceled');
  });

  it('TERM reaches the whole group at once', async () => {
    const driver = await standIn();
    const act =
      'trap "echo leader >&2; wait; exit 2" TERM; (trap "echo child >&2; exit 0" TERM; echo ready; sleep 60 & wait) & wait';
    const job = await driver.run({
      env: { ACT_build_script: act },
      cancelAt: { log: /^ready$/m },
    });
    const said = job.text('build_script', 'stderr');
    expect(said).toContain('child');
    expect(said).toContain('leader');
  });

  it('a driver that is killed by hand is a system failure', async () => {
    const driver = await standIn();
    const job = await driver.run({ script: LONG, killDriverAt: { log: /^started$/m } });
    expect(job.failureReason).toBe('runner_system_failure');
    expect(job.names).toContain('cleanup');
  });

  it('a runner that is killed cleans nothing up and leaves its driver alone', async () => {
    const driver = await standIn();
    const act = 'echo started; sleep 0.5; echo late >"$BASE/late"; exit 0';
    const job = await driver.run({
      env: { ACT_build_script: act },
      vanishAt: { log: /^started$/m },
    });
    expect(job.status).toBe('vanished');
    expect(job.names).toEqual(TO_SCRIPT.slice(0, 4));
    expect(await driver.tempDirs()).toHaveLength(1);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(await readFile(`${driver.base}/late`, 'utf8')).toBe('late\n');
  });
});
