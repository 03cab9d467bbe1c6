/** Contract: whose fault a failure is, and which exit code GitLab gets (cases 4–6 and the file). */
import { describe, expect, it } from 'vitest';
import { DriverJob, host } from './driver.ts';
import { runHostJob, startHostJob } from './host-job.ts';

const JOBS_FAULT = { status: 'failed', failureReason: 'script_failure' };
const SYSTEMS_FAULT = { status: 'failed', failureReason: 'runner_system_failure' };

describe.concurrent('the exit code of the script', () => {
  // Cases 5 and 6 of the Runner are about a driver's own 2 and 255; a script's are the script's.
  it.each([
    ['case 4: 1', 'exit 1', 1],
    ['case 5: 2', 'exit 2', 2],
    ['case 6: 255', 'exit 255', 255],
    ['of the command that failed', '(exit 42)', 42],
    ['of a pipe’s first command', '(exit 3) | cat', 3],
    ['of a command killed by KILL', 'sh -c "kill -KILL \\$\\$"', 137],
    ['of the shell killed by TERM', 'kill -TERM $BASHPID; sleep 5', 143],
  ])('%s reaches GitLab', async (_, command, code) => {
    const job = await runHostJob({ script: [command, 'echo not reached'] });
    expect(job).toMatchObject({ ...JOBS_FAULT, exitCode: code, message: `exit status ${code}` });
    expect(job.log).not.toMatch(/^not reached$/m);
    expect(job.log).toMatch(new RegExp(`ERROR: Job failed: exit status ${code}\\S*\\n$`));
  });

  it('of an earlier stage is not taken for that of a later one', async () => {
    // The first get_sources fails with 9, the second works; the script then fails with 1.
    const first = 'if [ -e /root/again ]; then true; else touch /root/again; exit 9; fi';
    const job = await runHostJob({
      variables: { GET_SOURCES_ATTEMPTS: '2' },
      response: { hooks: [{ name: 'pre_get_sources_script', script: [first] }] },
      script: ['false'],
    });
    const codes = job.stages.flatMap(({ script, verdict }) =>
      verdict.kind === 'build-failure' ? [`${script} ${verdict.exitCode}`] : [],
    );
    expect(codes).toEqual(['get_sources 9', 'build_script 1']);
    expect(job).toMatchObject({ ...JOBS_FAULT, exitCode: 1 });
  });

  it('of get_sources is the job’s, and neither script nor after_script runs', async () => {
    const job = await runHostJob({
      response: {
        hooks: [{ name: 'pre_get_sources_script', script: ['exit 11'] }],
        artifacts: [{ paths: ['x'], when: 'always' }],
      },
      afterScript: ['true'],
    });
    expect(job).toMatchObject({ ...JOBS_FAULT, exitCode: 11, statusVariable: 'running' });
    expect(job.names.slice(3)).toEqual([
      ...['get_sources', 'upload_artifacts_on_failure', 'cleanup_file_variables', 'cleanup'],
    ]);
  });
});

describe.concurrent('before the script', () => {
  it('an unknown image fails at once, as the job’s fault, with config and cleanup alone', async () => {
    const job = await runHostJob({ image: 'debian-99' });
    expect(job).toMatchObject({ ...JOBS_FAULT, exitCode: 1 });
    expect(job.names).toEqual(['config', 'cleanup']);
    expect(job.log).toContain('Image "debian-99" is not available on this runner.');
    expect(job.log).not.toContain('Will be retried');
    expect(job.operatorLog).toBe('');
  });

  it('settings that are wrong are the system’s fault, tried three times, each with a cleanup', async () => {
    const job = await runHostJob({ settings: 'boot_timeout: soon\n' });
    expect(job).toMatchObject(SYSTEMS_FAULT);
    expect(job.names).toEqual(Array.from({ length: 3 }, () => ['config', 'cleanup']).flat());
    expect(job.log).toContain('boot_timeout');
  });

  it('a response that is broken is the system’s fault and shows nothing of it', async () => {
    const job = await runHostJob({
      responseText: '{"id": 5, "token": "secret-of-the-job", ',
      timing: { prepareAttempts: 1 },
    });
    expect(job).toMatchObject(SYSTEMS_FAULT);
    expect(job.log).toContain('is not JSON.');
    expect(job.log).not.toContain('secret-of-the-job');
    expect(job.operatorLog).not.toContain('secret-of-the-job');
  });

  it('a driver that has no directory to work in cleans up well', async () => {
    const { result } = await startHostJob({ timing: { prepareAttempts: 1 }, driver: {} });
    expect(await result).toMatchObject({ message: 'the builds_dir is not configured' });
  });
});

describe.concurrent('a machine that dies under its job', () => {
  const sleeps = { script: ['echo begun; sleep 3600'], afterScript: ['echo after'] };

  it('is the system’s fault, says so, and every later stage ends soon', async () => {
    const job = await startHostJob({
      ...sleeps,
      on: [{ at: { log: /^begun$/m }, act: () => kill(job.machine) }],
    });
    const ended = await job.result;
    expect(ended).toMatchObject({ ...SYSTEMS_FAULT, exitCode: undefined });
    expect(ended.text('build_script')).toContain(
      `Machine "${job.machine}" is gone: it was ended from outside the job.`,
    );
    expect(ended.text('after_script')).not.toMatch(/^after$/m);
    const end = ended.stages.find(({ script }) => script === 'build_script')?.endedMs ?? 0;
    expect((ended.stages.at(-1)?.endedMs ?? 1e9) - end).toBeLessThan(60_000);
    expect(ended.operatorLog.replace(/^\{.*\}\n?/, '')).toBe('');
  });

  it('between two scripts fails the next one as the system', async () => {
    const job = await startHostJob({
      ...sleeps,
      on: [{ at: { stage: 'get_sources' }, act: () => kill(job.machine) }],
    });
    const ended = await job.result;
    expect(ended).toMatchObject(SYSTEMS_FAULT);
    expect(ended.log).toContain('is gone');
  });

  it('by the script’s own poweroff is the job’s fault, and after_script is told', async () => {
    const job = await runHostJob({ ...sleeps, script: ['poweroff; sleep 60'] });
    expect(job).toMatchObject({ ...JOBS_FAULT, exitCode: 1 });
    expect(job.text('build_script')).toContain('it powered off while the script ran.');
    expect(job.text('after_script')).toContain('it powered off before this script.');
  });

  it('while it boots is an attempt that failed, and the next one succeeds', async () => {
    const job = await startHostJob({
      on: [{ at: { stage: 'prepare', attempt: 1, afterMs: 350 }, act: () => kill(job.machine) }],
    });
    const ended = await job.result;
    expect(ended.status).toBe('success');
    expect(ended.names.filter((name) => name === 'prepare').length).toBeLessThanOrEqual(2);
  });
});

describe('a machine whose time is over', () => {
  it('is ended by systemd, as the system’s fault', async () => {
    const job = await DriverJob.create({
      settings: 'deadline_margin: 0\n',
      response: { runner_info: { timeout: 3 } },
    });
    expect((await job.prepare()).status).toBe(0);
    const result = await job.run('sleep 300');
    expect([result.status, result.exitCode]).toEqual([2, undefined]);
    expect(result.stderr).toContain(
      `Machine "${job.machine}" is gone: the job's deadline has passed and systemd ended it.`,
    );
    await job.dispose();
  });
});

/** Nothing that is asked first: every process at once. */
async function kill(machine: string): Promise<void> {
  await host('sh', '-c', `systemctl kill --signal=KILL ${machine}.service 2>/dev/null || true`);
}
