/** Contract: artifacts and caches, moved by the host's gitlab-runner in the machine. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobCache } from '../../src/runner/job.ts';
import { newProject, runHostJob, startHostJob, type HostJobOptions } from './host-job.ts';
import { makeRunnerStub, readCalls, type RunnerStub } from './runner-stub.ts';

const CACHE: JobCache = { key: 'deps-$CI_COMMIT_REF_SLUG', paths: ['deps'], untracked: false };

let stub: RunnerStub;
beforeAll(async () => {
  stub = await makeRunnerStub();
});
afterAll(() => stub.remove());

function lent(options: HostJobOptions): HostJobOptions {
  return { ...options, settings: stub.settings };
}

describe.concurrent('a cache', () => {
  it('comes back to the next job of its project, and is another project’s never', async () => {
    const project = newProject();
    const script = [
      'cat deps/file 2>/dev/null || echo nothing cached',
      'mkdir -p deps; echo kept >deps/file',
    ];
    const job = lent({ script, response: { cache: [CACHE] }, project, keepsCache: true });
    const first = await runHostJob(job);
    const [second, other] = await Promise.all([
      runHostJob({ ...job, keepsCache: false }),
      runHostJob({ ...job, project: newProject(), keepsCache: false }),
    ]);
    expect(first.names).toContain('restore_cache');
    expect(first.names).toContain('archive_cache');
    expect(first.text('archive_cache')).toContain('Created cache');
    expect(first.text('build_script')).toContain('\nnothing cached\n');
    expect(second.text('build_script')).toContain('\nkept\n');
    expect(other.text('build_script')).toContain('\nnothing cached\n');
  });

  it('of a failure is kept where it is meant for failures', async () => {
    const job = await runHostJob(
      lent({
        script: ['mkdir deps; exit 3'],
        response: { cache: [{ ...CACHE, when: 'always' }] },
      }),
    );
    expect(job.text('archive_cache_on_failure')).toContain('Created cache');
    expect(job).toMatchObject({ status: 'failed', exitCode: 3 });
  });
});

describe.concurrent('artifacts', () => {
  it('are uploaded, and a later job has them; the words are GitLab’s', async () => {
    const project = newProject();
    const first = await startHostJob(
      lent({
        id: 8_000_001,
        project,
        keepsCache: true,
        script: ['mkdir out; echo made >out/file'],
        response: { artifacts: [{ name: 'of-$CI_JOB_ID', paths: ['out/'], expire_in: '1 day' }] },
      }),
    );
    expect((await first.result).text('upload_artifacts_on_success')).toContain('Uploading');
    const calls = await readCalls(first.cache);
    expect(calls.at(-1)).toBe(
      'artifacts-uploader --url https://gitlab.example.com/ --token job-token-of-a-test --id 8000001 --path out/ --name of-8000001 --expire-in 1 day',
    );
    const dependency = {
      ...{ id: 8_000_001, token: 'job-token-of-a-test', name: 'build' },
      artifacts_file: { filename: 'artifacts.zip', size: 10 },
    };
    const second = await runHostJob(
      lent({ project, script: ['cat out/file'], response: { dependencies: [dependency] } }),
    );
    expect(second.names).toContain('download_artifacts');
    expect(second.text('build_script')).toContain('\nmade\n');
  });

  it('of a failure are uploaded too, and after_script’s files are among them', async () => {
    const job = await startHostJob(
      lent({
        script: ['exit 4'],
        afterScript: ['echo late >log'],
        response: {
          artifacts: [
            { paths: ['log'], when: 'on_failure' },
            { paths: ['never'], when: 'on_success' },
          ],
        },
      }),
    );
    const ended = await job.result;
    expect(ended).toMatchObject({ status: 'failed', exitCode: 4 });
    expect(ended.names.slice(-4)).toEqual([
      ...['after_script', 'upload_artifacts_on_failure', 'cleanup_file_variables', 'cleanup'],
    ]);
    expect(ended.text('upload_artifacts_on_failure')).not.toMatch(/tar:|never/);
  });

  it('that cannot be uploaded fail a job that had not failed', async () => {
    const job = await runHostJob(
      lent({ script: ['true'], response: { artifacts: [{ paths: ['missing'] }] } }),
    );
    expect(job).toMatchObject({ status: 'failed', failureReason: 'script_failure' });
    expect(job.text('upload_artifacts_on_success')).toContain('missing: Cannot stat');
  });
});

describe('a host without gitlab-runner', () => {
  it('skips artifacts and caches, says so before the job starts, and the job passes', async () => {
    const job = await runHostJob({
      settings: 'gitlab_runner: none\n',
      response: { cache: [CACHE], artifacts: [{ paths: ['x'] }] },
    });
    expect(job.status).toBe('success');
    expect(job.text('prepare')).toContain('This host has no gitlab-runner to lend to the machine');
    expect(job.log).toContain('Missing gitlab-runner. Uploading artifacts is disabled.');
    expect(job.log).toContain('Missing gitlab-runner. Creating cache is disabled.');
  });
});
