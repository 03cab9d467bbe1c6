/** Contract: what ends a job early (case 7), in every stage, and what must then not go on. */
import { describe, expect, it } from 'vitest';
import type { EmulatedResult } from '../runner-emulator.ts';
import { startRepository } from './repository.ts';
import { runHostJob, startHostJob, type HostJobOptions } from './host-job.ts';
import { host } from './driver.ts';

const SLEEPS = {
  script: ['echo begun', 'sleep 3600'],
  afterScript: ['echo "after with $CI_JOB_STATUS"', 'pgrep -x sleep || echo none sleeps'],
} as const;
const SLOW_HOOK = { name: 'pre_get_sources_script', script: ['sleep 60'] };
const BEGUN = { log: /^begun$/m };
const TITLE = 'Running after_script';

/** The named stage, or the run of the named script. */
function callOf(job: EmulatedResult, name: string) {
  return job.stages.find(({ stage, script }) => (script ?? stage) === name);
}

describe.concurrent('case 7: a sleeping script', () => {
  it('out of RUNNER_SCRIPT_TIMEOUT: after_script runs with timedout', async () => {
    const variables = { RUNNER_SCRIPT_TIMEOUT: '2s' };
    const job = await runHostJob({ ...SLEEPS, variables });
    expect(job).toMatchObject({ status: 'failed', failureReason: 'job_execution_timeout' });
    expect(job.text('after_script')).toMatch(/after with timedout\n.*\nnone sleeps\n/s);
    expect(job.log).toContain(TITLE);
  });

  it('of an interrupted runner: no after_script', async () => {
    const job = await runHostJob({ ...SLEEPS, interruptAt: BEGUN });
    expect(job).toMatchObject({ status: 'failed', failureReason: 'runner_interrupted' });
    expect(job.log).not.toContain(TITLE);
    expect(job.names.at(-1)).toBe('cleanup');
  });

  it('of an aborted job: no after_script', async () => {
    const job = await runHostJob({ ...SLEEPS, abortAt: BEGUN });
    expect(job).toMatchObject({ status: 'canceled', failureReason: 'job_canceled' });
    expect(job.log).not.toContain(TITLE);
  });

  it('of a canceled job: after_script runs with canceled, alone', async () => {
    const job = await runHostJob({ ...SLEEPS, cancelAt: BEGUN });
    expect(job).toMatchObject({ status: 'canceled', failureReason: 'job_canceled' });
    expect(job.text('after_script')).toMatch(/after with canceled\n.*\nnone sleeps\n/s);
    expect(callOf(job, 'build_script')?.signals).toEqual(['SIGTERM']);
  });

  it('out of the time of the whole job: no after_script', async () => {
    const job = await runHostJob({ ...SLEEPS, timeout: 8 });
    expect(job).toMatchObject({ status: 'failed', failureReason: 'job_execution_timeout' });
    expect(job.log).not.toContain(TITLE);
    expect(job.log).toContain('execution took longer than 8 seconds');
  });
});

describe.concurrent('a canceled script', () => {
  it('that ignores TERM gets KILL, and after_script does not meet it', async () => {
    const job = await runHostJob({
      ...SLEEPS,
      settings: 'script_stop_timeout: 1\n',
      script: [
        'trap "" TERM',
        'echo begun; while :; do echo alive >>/root/beat; sleep 0.1; done; echo survived',
      ],
      afterScript: ['wc -l </root/beat; sleep 1; wc -l </root/beat'],
      cancelAt: BEGUN,
    });
    expect(job.status).toBe('canceled');
    expect(job.log).not.toMatch(/^survived$/m);
    const [before, after] = job.text('after_script').match(/^\d+$/gm) ?? [];
    expect(before).toBe(after);
    expect(Number(before)).toBeGreaterThan(0);
    expect(callOf(job, 'build_script')?.signals).toEqual(['SIGTERM']);
  });

  it('that has left processes with its pipes holds no stage', async () => {
    const job = await runHostJob({
      ...SLEEPS,
      script: ['setsid sleep 3600 & nohup sleep 3600 &', 'echo begun; exit 4'],
      afterScript: ['pgrep -xc sleep'],
    });
    expect(job).toMatchObject({ status: 'failed', exitCode: 4 });
    // What is left running belongs to the job until the machine goes.
    expect(job.text('after_script')).toMatch(/\n2\n/);
    const { startedMs, endedMs } = callOf(job, 'build_script') ?? { startedMs: 0, endedMs: 1e9 };
    expect(endedMs - startedMs).toBeLessThan(100_000);
  });

  it('is not shown: not in the log, not in any list of processes', async () => {
    const marker = 'marker-of-the-body';
    let listed = '';
    const job = await runHostJob({
      ...SLEEPS,
      script: ['echo begun; sleep 3600', `: "${marker}" never reached`],
      on: [
        {
          at: { log: BEGUN.log, afterMs: 300 },
          act: async () => (listed = await host('ps', 'axww')),
        },
      ],
      cancelAt: { log: BEGUN.log, afterMs: 4_000 },
    });
    expect(job.status).toBe('canceled');
    expect(listed).toContain('sleep 3600');
    expect(listed).not.toContain(marker);
    expect(job.log).not.toContain(marker);
    expect(job.operatorLog).not.toContain(marker);
  });
});

describe('cancel in every stage', () => {
  const skipped = ['build_script', 'after_script', 'cleanup_file_variables'];
  const stages: readonly (readonly [string, number])[] = [
    ['config', 40],
    ['prepare', 250],
    ['prepare_script', 40],
    ['get_sources', 500],
    ['restore_cache', 40],
  ];

  it.concurrent.each(stages)('%s: nothing more but cleanup', async (stage, afterMs) => {
    const job = await runHostJob({
      ...SLEEPS,
      response: {
        cache: [{ key: 'k', paths: ['x'] }],
        ...(stage === 'get_sources' ? { hooks: [SLOW_HOOK] } : {}),
      },
      cancelAt: { stage, afterMs },
    });
    expect(job).toMatchObject({ status: 'canceled', failureReason: 'job_canceled' });
    for (const name of skipped) expect(job.names).not.toContain(name);
    expect(job.names.at(-1)).toBe('cleanup');
    expect(callOf(job, 'cleanup')?.verdict.kind).toBe('success');
    // An exit with 1 would make a script failure of the cancel.
    expect(callOf(job, stage)?.verdict.kind).not.toBe('build-failure');
  });

  const later = ['after_script', 'archive_cache', 'upload_artifacts_on_success'];
  it.concurrent.each(later)('%s: changes nothing', async (stage) => {
    const job = await runHostJob({
      script: ['echo built'],
      afterScript: ['sleep 0.3; echo whole'],
      response: { cache: [{ key: 'k', paths: ['x'] }], artifacts: [{ paths: ['x'] }] },
      cancelAt: { stage, afterMs: 60 },
    });
    expect(callOf(job, stage)).toMatchObject({ verdict: { kind: 'success' }, signals: [] });
    expect(job.text('after_script')).toContain('whole\n');
    expect(job.names.slice(-2)).toEqual(['cleanup_file_variables', 'cleanup']);
  });

  it('a get_sources that waits for its server ends at once, and the next job works', async () => {
    const repository = await startRepository();
    const options: HostJobOptions = {
      script: ['cat file'],
      variables: { GIT_STRATEGY: 'clone' },
      response: { git_info: repository.gitInfo('main') },
    };
    repository.setMode('hanging');
    const job = await startHostJob({
      ...options,
      timing: { gracefulKillSec: 180 },
      cancelAt: { stage: 'get_sources', afterMs: 1500 },
    });
    const canceled = await job.result;
    expect(canceled.status).toBe('canceled');
    const call = callOf(canceled, 'get_sources');
    expect((call?.endedMs ?? 1e9) - (call?.startedMs ?? 0)).toBeLessThan(100_000);
    repository.setMode('serving');
    expect(await runHostJob(options)).toMatchObject({ status: 'success' });
    await repository.close();
  });
});
