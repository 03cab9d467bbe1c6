/** The engine against a driver that is a few lines of bash: what GitLab Runner does, without systemd. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { standIn } from './stand-in.ts';

const ALWAYS = ['config', 'prepare', 'prepare_script', 'get_sources', 'build_script'];
const ENDING = ['cleanup_file_variables', 'cleanup'];

describe('a job that passes', () => {
  it('calls the driver in order, each call after the one before, and leaves nothing', async () => {
    const driver = await standIn();
    const job = await driver.run({ script: ['echo hello', 'pwd'], afterScript: ['echo after'] });
    expect(job).toMatchObject({ status: 'success', exitCode: undefined, message: undefined });
    expect(job.names).toEqual([...ALWAYS, 'after_script', ...ENDING]);
    for (const [index, stage] of job.stages.entries()) {
      expect(stage.startedMs).toBeGreaterThanOrEqual(job.stages[index - 1]?.endedMs ?? 0);
    }
    expect(job.text('build_script', 'stdout')).toContain(`\nhello\n`);
    expect(job.text('build_script')).toContain(`${driver.base}/builds/group/project\n`);
    expect(job.log).toContain('Using Custom executor with driver stand-in v1...');
    expect(job.log).toMatch(/Job succeeded\S*\n$/);
    expect(await driver.tempDirs()).toEqual([]);
  });

  it('gives every call its directory, its response, job_env and the status', async () => {
    const driver = await standIn();
    await driver.run({ afterScript: ['true'] });
    expect(await driver.calls()).toEqual([
      'config in-tmpdir response running',
      'prepare in-tmpdir response MACHINE=m1 running',
      'prepare_script in-tmpdir response MACHINE=m1 running',
      'get_sources in-tmpdir response MACHINE=m1 running',
      'build_script in-tmpdir response MACHINE=m1 running',
      'after_script in-tmpdir response MACHINE=m1 success',
      'cleanup_file_variables in-tmpdir response MACHINE=m1 success',
      'cleanup in-tmpdir response MACHINE=m1 success',
    ]);
  });

  it('gives a group of its own, private files, nothing on stdin and separate pipes', async () => {
    const driver = await standIn();
    const act = [
      'cat; stat -c "%a %n" . response.json "$(dirname "$1")" "$1" >&2',
      'readlink /proc/self/fd/0 >&2; ps -o pgid= -p $$ >&2; echo $$ >&2',
      'echo out; exit 0',
    ].join('\n');
    const job = await driver.run({ env: { ACT_prepare_script: act } });
    const [directory, response, scripts, script, stdin, group, pid] = job
      .text('prepare_script', 'stderr')
      .split('\n')
      .map((line) => line.trim());
    expect([directory, response]).toEqual(['700 .', '600 response.json']);
    expect(scripts).toMatch(/^700 \/.*\/custom-executor\d+\/script\d+$/);
    expect(script).toMatch(/^700 \/.*\/script\d+\/script$/);
    expect(stdin).toBe('/dev/null');
    expect(group).toBe(pid);
    expect(job.text('prepare_script', 'stdout')).toBe('out\n');
  });

  it('skips stages that are not configured', async () => {
    const driver = await standIn();
    const job = await driver.run({
      driver: { run: ['bash', join(import.meta.dirname, '../fixtures/driver/driver.sh'), 'run'] },
      buildsDir: `${driver.base}/builds`,
      cacheDir: `${driver.base}/cache`,
    });
    expect(job.status).toBe('success');
    expect(job.names).toEqual([...ALWAYS.slice(2), 'cleanup_file_variables']);
  });
});

describe('the environment', () => {
  it('has job_env over the host and the five, and the job over that under its prefix', async () => {
    const driver = await standIn();
    const act = `printf '{"builds_dir":"/b","cache_dir":"/c","job_env":{"PATH":"/odd:/usr/bin:/bin","TMPDIR":"/t"}}'; exit 0`;
    await driver.run({
      env: { ACT_config: act, ACT_prepare: 'exit 0' },
      variables: { CI_JOB_ID: 'spoofed', CI_CONCURRENT_ID: '../7', MULTI: 'a\nb' },
      timing: { prepareAttempts: 1 },
    });
    const config = await driver.environment('config');
    expect(config.get('CUSTOM_ENV_CI_PROJECT_DIR')).toBe('');
    expect(config.get('CUSTOM_ENV_RUNNER_TEMP_PROJECT_DIR')).toBe('.tmp');
    expect(config.get('CUSTOM_ENV_CI_JOB_SERVICES')).toBe('');
    const prepare = await driver.environment('prepare');
    expect(Object.fromEntries(prepare)).toMatchObject({
      PATH: '/odd:/usr/bin:/bin',
      TMPDIR: '/t',
      BUILD_FAILURE_EXIT_CODE: '1',
      SYSTEM_FAILURE_EXIT_CODE: '2',
      CUSTOM_ENV_CI_JOB_ID: 'spoofed',
      CUSTOM_ENV_CI_CONCURRENT_ID: '../7',
      CUSTOM_ENV_MULTI: 'a\nb',
      CUSTOM_ENV_CI_PROJECT_DIR: '/b/group/project',
    });
  });

  it('gives the content of a file variable to the driver and its path to the script', async () => {
    const driver = await standIn();
    const job = await driver.run({
      variables: { CERT: { value: 'line 1\nline 2', file: true }, WHERE: 'at $CERT' },
      script: ['cat "$CERT"; echo "[$WHERE]"'],
    });
    const path = `${driver.base}/builds/group/project.tmp/CERT`;
    expect(job.text('build_script')).toContain(`line 1\nline 2[at ${path}]\n`);
    expect((await driver.environment('build_script')).get('CUSTOM_ENV_CERT')).toBe(
      'line 1\nline 2',
    );
    await expect(readFile(path)).rejects.toThrow('ENOENT');
  });

  it('writes ids that a number cannot hold with all their digits', async () => {
    const driver = await standIn();
    const act = 'cat "$JOB_RESPONSE_FILE" >&2';
    const job = await driver.run({ id: 9223372036854775807n, env: { ACT_config: act } });
    expect(job.text('config', 'stderr')).toContain('{"id":9223372036854775807,');
  });

  it('fails the start, and the cleanup too, when a variable is too large for the kernel', async () => {
    const driver = await standIn();
    const job = await driver.run({
      variables: { HUGE: 'x'.repeat(140_000) },
      timing: { prepareAttempts: 1 },
    });
    expect(job.failureReason).toBe('runner_system_failure');
    expect(job.message).toMatch(/^failed to start command: .*E2BIG/);
    expect(job.stages.map(({ stage, end }) => `${stage} ${end.kind}`)).toEqual([
      'config not-started',
      'cleanup not-started',
    ]);
  });
});

describe('scripts', () => {
  it.each(['bash', 'sh'])('of %s pass odd values through unchanged', async (shell) => {
    const driver = await standIn();
    const odd = `'"\`$(false)\\ \t\u0001é\nend$$`;
    const job = await driver.run({
      shell,
      env: { RUN_SHELL: shell },
      variables: {
        ODD: { value: odd, raw: true },
        LONG: { value: 'y'.repeat(120_000), raw: true },
      },
      script: ['printf "%s" "<$ODD>" | od -An -c', 'printf "%s" "$LONG" | wc -c'],
    });
    expect(job.status).toBe('success');
    const dump = job.text('build_script', 'stdout');
    expect(dump).toContain('120000');
    expect(dump.replace(/\s+/g, '')).toContain(
      String.raw`<'"` + '`$(false)' + String.raw`\\t001303251\nend$$>`,
    );
  });

  it('get the working directory, GITLAB_ENV and no input; the first failure ends them', async () => {
    const driver = await standIn();
    const job = await driver.run({
      script: ['echo "FROM_SCRIPT=a b" >>"$GITLAB_ENV"', 'cat', 'false', 'echo not reached'],
      afterScript: ['echo "got $FROM_SCRIPT and $CI_JOB_STATUS"'],
    });
    expect(job).toMatchObject({ status: 'failed', failureReason: 'script_failure', exitCode: 1 });
    expect(job.log).not.toMatch(/^not reached/m);
    expect(job.text('after_script')).toContain('got a b and failed\n');
  });

  it('show commands, and of a command with several lines the first', async () => {
    const driver = await standIn();
    const job = await driver.run({ script: ['echo 1', 'echo 2\necho 3'] });
    expect(job.log).toContain('\u001b[32;1m$ echo 1\u001b[0;m\n1\n');
    expect(job.log).toContain('$ echo 2 # collapsed multi-line command\u001b[0;m\n2\n3\n');
  });

  it('run further steps as step_NAME until one fails', async () => {
    const driver = await standIn();
    const step = (name: string, command: string) => ({ name, script: [command] });
    const job = await driver.run({
      steps: [step('release', 'exit 7'), step('later', 'true')],
      afterScript: ['true'],
    });
    expect(job.names).toEqual([...ALWAYS, 'step_release', 'after_script', ...ENDING]);
    expect(job.exitCode).toBe(7);
  });
});

describe('what an exit means', () => {
  const cases: readonly (readonly [
    string,
    string,
    string | undefined,
    number | undefined,
    string,
  ])[] = [
    ['exit 0', 'success', undefined, undefined, ''],
    ['rm -f build_exit_code; exit 1', 'failed', 'script_failure', 1, 'exit status 1'],
    ['echo 42 >build_exit_code; exit 1', 'failed', 'script_failure', 42, 'exit status 42'],
    [
      'printf "42\\r\\nmore" >build_exit_code; exit 1',
      'failed',
      'script_failure',
      42,
      'exit status 42',
    ],
    ['echo 0 >build_exit_code; exit 1', 'failed', 'script_failure', undefined, 'exit status 0'],
    [
      'echo no >build_exit_code; exit 1',
      'failed',
      'runner_system_failure',
      undefined,
      'unknown Custom executor executable exit code 2',
    ],
    ['exit 2', 'failed', 'runner_system_failure', undefined, 'exit status 2'],
    [
      'exit 255',
      'failed',
      'runner_system_failure',
      undefined,
      'unknown Custom executor executable exit code 255',
    ],
    [
      'kill -9 $$',
      'failed',
      'runner_system_failure',
      undefined,
      'unknown Custom executor executable exit code -1',
    ],
  ];
  it.each(cases)('%s', async (act, status, failureReason, exitCode, message) => {
    const driver = await standIn();
    const job = await driver.run({ env: { ACT_build_script: act } });
    expect(job).toMatchObject({ status, failureReason, exitCode });
    expect(job.message ?? '').toBe(message);
  });

  it('reads a stale exit code file again', async () => {
    const driver = await standIn();
    const job = await driver.run({
      env: { ACT_get_sources: 'echo 9 >build_exit_code; exit 0', ACT_build_script: 'exit 1' },
    });
    expect(job.exitCode).toBe(9);
  });

  it.each([1, 2, 42, 255])('has the script exit with %i', async (code) => {
    const driver = await standIn();
    const job = await driver.run({ script: [`exit ${code}`] });
    expect(job).toMatchObject({ failureReason: 'script_failure', exitCode: code });
  });
});

describe('failures before the script', () => {
  it('prepare is tried three times, each with a new directory and a cleanup', async () => {
    const driver = await standIn();
    const job = await driver.run({ env: { ACT_prepare: 'pwd >&2; exit 2' } });
    const attempt = ['config', 'prepare', 'cleanup'];
    expect(job.names).toEqual([...attempt, ...attempt, ...attempt]);
    expect(job.stages.map(({ attempt: number }) => number)).toEqual([1, 1, 1, 2, 2, 2, 3, 3, 3]);
    expect(new Set(job.text('prepare', 'stderr').trim().split('\n')).size).toBe(3);
    expect(job).toMatchObject({ failureReason: 'runner_system_failure', message: 'exit status 2' });
    expect(job.events.filter(({ type }) => type === 'wait')).toHaveLength(3);
    expect(await driver.tempDirs()).toEqual([]);
  });

  it('a prepare that says "job failure" is not tried again', async () => {
    const driver = await standIn();
    const job = await driver.run({ env: { ACT_prepare: 'exit 1' } });
    expect(job.names).toEqual(['config', 'prepare', 'cleanup']);
    expect(job).toMatchObject({ failureReason: 'script_failure', exitCode: 1 });
  });

  it('a second prepare may succeed', async () => {
    const driver = await standIn();
    const act = '[ -e "$BASE/second" ] && exit 0; touch "$BASE/second"; exit 2';
    const job = await driver.run({ env: { ACT_prepare: act } });
    expect(job.status).toBe('success');
    expect(job.log).toContain('Preparation failed: exit status 2');
    expect(job.names.filter((name) => name === 'cleanup')).toHaveLength(2);
  });

  it('a config that fails is followed by cleanup alone, without job_env', async () => {
    const driver = await standIn();
    const job = await driver.run({ env: { ACT_config: 'exit 1' } });
    expect(job.names).toEqual(['config', 'cleanup']);
    expect(await driver.calls()).toEqual([
      'config in-tmpdir response running',
      'cleanup in-tmpdir response running',
    ]);
  });

  const configs: readonly (readonly [string, string, string])[] = [
    ['not json', 'runner_system_failure', 'error while parsing JSON output: '],
    ['{} {}', 'runner_system_failure', 'error while parsing JSON output: '],
    ['{"job_env":{"A":1}}', 'runner_system_failure', '"job_env" has the wrong type'],
    [
      '{"builds_dir":"/b","cache_dir":"/c","shell":"fish"}',
      'runner_system_failure',
      'shell fish not found',
    ],
    ['{"builds_dir":"","cache_dir":"/c"}', 'script_failure', 'the builds_dir is not configured'],
    [
      '{"builds_dir":"/b","cache_dir":"c"}',
      'script_failure',
      'cache directory needs to be an absolute path',
    ],
  ];
  it.each(configs)('config that prints %s', async (text, failureReason, message) => {
    const driver = await standIn();
    const job = await driver.run({
      env: { ACT_config: `printf '%s' '${text}'; exit 0` },
      timing: { prepareAttempts: 1 },
    });
    expect(job.failureReason).toBe(failureReason);
    expect(job.message).toContain(message);
    expect(job.names).toEqual(['config', 'cleanup']);
  });

  it('a job directory that cannot be made leaves cleanup with empty values', async () => {
    const driver = await standIn();
    const job = await driver.run({ tmpRoot: '/nonexistent', timing: { prepareAttempts: 1 } });
    expect(job.names).toEqual(['cleanup']);
    const env = await driver.environment('cleanup');
    for (const name of ['TMPDIR', 'JOB_RESPONSE_FILE', 'BUILD_EXIT_CODE_FILE']) {
      expect(env.get(name), name).toBe('');
    }
  });

  it('prepare_script: nothing more but cleanup', async () => {
    const driver = await standIn();
    const job = await driver.run({
      afterScript: ['true'],
      env: { ACT_prepare_script: 'exit 2' },
    });
    expect(job.names).toEqual(['config', 'prepare', 'prepare_script', 'cleanup']);
    expect(job.message).toBe('prepare environment: exit status 2');
  });

  it('get_sources: no after_script, but the artifacts of a failure', async () => {
    const driver = await standIn();
    const job = await driver.run({
      afterScript: ['true'],
      env: { ACT_get_sources: 'exit 1' },
      response: { artifacts: [{ paths: ['a'], when: 'always' }] },
    });
    expect(job.names.slice(3)).toEqual(['get_sources', 'upload_artifacts_on_failure', ...ENDING]);
    expect(job.statusVariable).toBe('running');
  });

  it('get_sources is tried again, after clear_worktree once', async () => {
    const driver = await standIn();
    const job = await driver.run({
      variables: { GET_SOURCES_ATTEMPTS: '3' },
      timing: { stageRetrySec: 0.02 },
      env: { ACT_get_sources: 'exit 1' },
    });
    expect(job.names.slice(3, 7)).toEqual([
      'get_sources',
      'clear_worktree',
      'get_sources',
      'get_sources',
    ]);
    expect(
      job.stages.filter(({ script }) => script === 'get_sources').map((s) => s.attempt),
    ).toEqual([1, 2, 3]);
  });
});

describe('after the script', () => {
  const archive = { cache: [{ key: 'k', paths: ['a'] }], artifacts: [{ paths: ['a'] }] };

  it('artifacts and caches of a success; without gitlab-runner a warning and no failure', async () => {
    const driver = await standIn();
    const job = await driver.run({ response: archive });
    expect(job.names).toEqual([
      ...ALWAYS.slice(0, 4),
      'restore_cache',
      'build_script',
      'archive_cache',
      'upload_artifacts_on_success',
      ...ENDING,
    ]);
    expect(job.status).toBe('success');
    expect(job.log).toContain('Missing gitlab-runner. Uploading artifacts is disabled.');
  });

  it('nothing of them after a failure, unless they are for failures', async () => {
    const driver = await standIn();
    const job = await driver.run({ script: ['exit 3'], response: archive });
    expect(job.names.slice(4)).toEqual(['restore_cache', 'build_script', ...ENDING]);
  });

  it('a failing after_script changes nothing unless the job says so', async () => {
    const driver = await standIn();
    const after = { afterScript: ['exit 5'] };
    expect(await driver.run(after)).toMatchObject({ status: 'success' });
    const variables = { AFTER_SCRIPT_IGNORE_ERRORS: 'false' };
    expect(await driver.run({ ...after, variables })).toMatchObject({
      status: 'failed',
      exitCode: 5,
    });
  });

  it('a failing upload fails a job that had not failed', async () => {
    const driver = await standIn();
    const env = { ACT_upload_artifacts_on_success: 'exit 2' };
    expect(await driver.run({ response: archive, env })).toMatchObject({
      failureReason: 'runner_system_failure',
    });
  });

  it('a failing cleanup is told and changes nothing; its output is not in the job log', async () => {
    const driver = await standIn();
    const job = await driver.run({ env: { ACT_cleanup: 'echo secret >&2; exit 1' } });
    expect(job.status).toBe('success');
    expect(job.log).toContain('Cleanup script failed: exit status 1');
    expect(job.log).not.toContain('secret');
    expect(job.operatorLog).toContain('secret');
  });
});

describe('the log', () => {
  it('is cut at the limit, and the job goes on', async () => {
    const driver = await standIn();
    const job = await driver.run({ script: ['seq 1 100000', 'exit 4'], logLimitBytes: 2000 });
    expect(job.exitCode).toBe(4);
    expect(job.log).toMatch(/Job's log exceeded limit of 2000 bytes\.\n$/);
    const built = job.stages.find(({ script }) => script === 'build_script');
    expect(built?.stdoutBytes).toBeGreaterThan(588_000);
  });
});
