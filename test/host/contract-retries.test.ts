/** Contract: what is tried again, and cleanup that is late, cut off, or called more than once. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { host } from './driver.ts';
import { cleanUpByHand, newProject, runHostJob, startHostJob } from './host-job.ts';
import { startRepository } from './repository.ts';

const ATTEMPT = ['config', 'prepare', 'cleanup'];

describe.concurrent('prepare', () => {
  it('is tried again after a cleanup, and the second attempt knows nothing of the first', async () => {
    const late = join('/tmp', `late-${newProject()}`);
    const job = await startHostJob({
      args: [`--bind-ro=${late}:/mnt`],
      settings: 'boot_timeout: 20\n',
      script: ['ls -d /mnt'],
      on: [{ at: { stage: 'cleanup', attempt: 1 }, act: () => mkdir(late, { recursive: true }) }],
    });
    const ended = await job.result;
    expect(ended.names.slice(0, 5)).toEqual([...ATTEMPT, 'config', 'prepare']);
    expect(ended).toMatchObject({ status: 'success' });
    expect(ended.text('prepare')).toContain(`Machine "${job.machine}" did not become ready.`);
    expect(ended.log).toContain('Preparation failed: exit status 2');
    const directories = ended.events.flatMap((e) => (e.type === 'temp-dir' ? [e.path] : []));
    expect(new Set(directories).size).toBe(2);
    await host('rmdir', late);
  });

  it('fails for good after three attempts, each with its cleanup', async () => {
    const job = await runHostJob({ args: ['--bind-ro=/nonexistent:/mnt'] });
    expect(job.names).toEqual([...ATTEMPT, ...ATTEMPT, ...ATTEMPT]);
    expect(job).toMatchObject({ status: 'failed', failureReason: 'runner_system_failure' });
    expect(
      job.stages.filter(({ stage }) => stage === 'cleanup').map((s) => s.verdict.kind),
    ).toEqual(['success', 'success', 'success']);
  });

  it('that outlives its time is ended by TERM and tried again', async () => {
    const job = await runHostJob({
      args: ['--bind-ro=/etc:/mnt'],
      timing: { prepareTimeoutSec: 0.15, prepareAttempts: 2 },
    });
    expect(job.names).toEqual([...ATTEMPT, ...ATTEMPT]);
    for (const { stage, signals } of job.stages) {
      expect(signals, stage).toEqual(stage === 'prepare' ? ['SIGTERM'] : []);
    }
  });
});

describe.concurrent('get_sources', () => {
  it('is tried again after clear_worktree, in the same machine and under the same name', async () => {
    const repository = await startRepository();
    repository.setMode('failing');
    const job = await runHostJob({
      variables: { GIT_STRATEGY: 'fetch', GET_SOURCES_ATTEMPTS: '3' },
      response: { git_info: repository.gitInfo('main') },
      script: ['cat file; systemctl is-system-running'],
      on: [{ at: { stage: 'clear_worktree' }, act: () => repository.setMode('serving') }],
    });
    expect(job.names.slice(3, 7)).toEqual([
      ...['get_sources', 'clear_worktree', 'get_sources', 'build_script'],
    ]);
    expect(job).toMatchObject({ status: 'success' });
    expect(job.text('build_script')).toContain('\non main\nrunning\n');
    await repository.close();
  });

  it('fails for good after its attempts, with the code of the last', async () => {
    const repository = await startRepository();
    repository.setMode('failing');
    const job = await runHostJob({
      variables: { GIT_STRATEGY: 'clone', GET_SOURCES_ATTEMPTS: '2' },
      response: { git_info: repository.gitInfo('main') },
    });
    expect(job).toMatchObject({ failureReason: 'script_failure', exitCode: 128 });
    expect(job.names.filter((name) => name === 'get_sources')).toHaveLength(2);
    await repository.close();
  });
});

// Twice, without a prepare, and with an empty environment: lifecycle.test.ts.
describe('cleanup', () => {
  it('that hangs is killed, told in the log, and a later one does what it did not', async () => {
    const job = await startHostJob({
      leavesMachine: true,
      timing: { cleanupTimeoutSec: 1, gracefulKillSec: 1 },
      on: [{ at: { stage: 'cleanup' }, act: ({ signalDriver }) => signalDriver('SIGSTOP') }],
    });
    await job.result;
    expect(job.log()).toContain('Cleanup script failed: unknown Custom executor executable exit');
    expect(job.log()).toMatch(/Job succeeded\S*\n$/);
    await cleanUpByHand(job);
    await rm(job.tmpRoot, { recursive: true });
  });

  it('that is killed half way leaves no half for the next one', async () => {
    const job = await startHostJob({
      leavesMachine: true,
      on: [
        {
          at: { stage: 'cleanup', afterMs: 200 },
          act: ({ signalDriver }) => signalDriver('SIGKILL'),
        },
      ],
    });
    await job.result;
    await cleanUpByHand(job);
    await rm(job.tmpRoot, { recursive: true });
  });

  it('needs no job_env and no CI_JOB_STATUS that makes sense', async () => {
    const job = await runHostJob({ variables: { CI_JOB_STATUS: '../x' }, script: ['exit 3'] });
    expect(job.stages.at(-1)).toMatchObject({ stage: 'cleanup', verdict: { kind: 'success' } });
  });
});
