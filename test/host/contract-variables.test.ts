/** Contract: variables, services and the config stage; what a job's author can set and forge. */
import { describe, expect, it } from 'vitest';
import { BUNDLE, DriverJob } from './driver.ts';
import { runHostJob } from './host-job.ts';

/** The bytes of a variable as the script has it. */
const dump = (name: string): string => `printf %s "$${name}" | od -An -tx1 -v | tr -d ' \\n'; echo`;
const hex = (text: string): string => Buffer.from(text).toString('hex');

describe.concurrent('a variable', () => {
  it('case 3: raw keeps its dollar signs, another is expanded once', async () => {
    const job = await runHostJob({
      variables: {
        BASE: 'base',
        RAW: { value: '$BASE ${BASE} $$x', raw: true },
        EXPANDED: 'of $BASE and $MISSING.',
      },
      script: ['echo "[$RAW] [$EXPANDED]"'],
    });
    expect(job.text('build_script')).toContain('\n[$BASE ${BASE} $$x] [of base and .]\n');
  });

  it('of several lines, of nothing, and of odd characters comes as it is', async () => {
    const values: Readonly<Record<string, string>> = {
      LINES: 'one\n\n  two\n',
      EMPTY: '',
      ODD: `'"\`$(false)\\ \t\u0001\u007fé\u2028%s %n*?[~#!&|;<>{}\n$$`,
      DASHES: '--settings=/etc/shadow',
      BASH_FUNC: '() { :;}; echo no',
    };
    const names = Object.keys(values);
    const job = await runHostJob({
      variables: Object.fromEntries(
        Object.entries(values).map(([key, value]) => [key, { value, raw: true }]),
      ),
      script: [...names.map(dump), 'echo "${EMPTY+set} ${MISSING-unset}"'],
    });
    for (const name of names) {
      expect(job.text('build_script', 'stdout'), name).toContain(`\n${hex(values[name] ?? '')}\n`);
    }
    expect(job.text('build_script')).toContain('\nset unset\n');
  });

  it('of 120 KB comes whole, and 2 KB a hundred times', async () => {
    const many = Array.from({ length: 100 }, (_, i) => [`MANY_${i}`, 'z'.repeat(2_000)] as const);
    const job = await runHostJob({
      variables: { BIG: 'y'.repeat(120_000), ...Object.fromEntries(many) },
      script: ['printf %s "$BIG" | wc -c', 'env | grep -c ^MANY_'],
    });
    expect(job.text('build_script')).toMatch(/\n120000\n.*\n100\n$/s);
  });

  it('too large for the kernel fails each start as the system’s fault, and leaves nothing', async () => {
    const job = await runHostJob({
      variables: { HUGE: 'x'.repeat(140_000) },
      timing: { prepareAttempts: 1 },
    });
    expect(job).toMatchObject({ status: 'failed', failureReason: 'runner_system_failure' });
    expect(job.message).toContain('failed to start command');
  });

  it('that is a file is one in the machine, expanded to its path, and gone in the end', async () => {
    const value = 'first\nsecond $HOME\n\n';
    const job = await runHostJob({
      variables: { CERT: { value, file: true, raw: true }, WHERE: 'at $CERT' },
      script: ['echo "[$WHERE]"', `od -An -tx1 -v "$CERT" | tr -d ' \\n'; echo`],
      steps: [{ name: 'next', script: ['wc -l <"$CERT"'] }],
    });
    const path = '/builds/group/project.tmp/CERT';
    expect(job.text('build_script')).toContain(`\n[at ${path}]\n`);
    expect(job.text('build_script')).toContain(`\n${hex(value)}\n`);
    expect(job.text('step_next')).toMatch(/\n3\n$/);
    expect(job.status).toBe('success');
  });
});

describe.concurrent('what a job’s author forges', () => {
  it('a CI_JOB_ID is refused as the job’s fault, without a machine', async () => {
    for (const id of ['1', '../../../etc', '']) {
      const job = await runHostJob({ id: 6_000_001, variables: { CI_JOB_ID: id } });
      if (id === '') {
        expect(job.status).toBe('success');
        continue;
      }
      expect(job).toMatchObject({ status: 'failed', failureReason: 'script_failure' });
      expect(job.names).toEqual(['config', 'cleanup']);
      expect(job.log).toContain(`Variable CI_JOB_ID is "${id}", but this is job "6000001".`);
    }
  });

  it('paths and numbers in all other variables decide nothing on the host', async () => {
    const evil = '../../../../tmp/evil';
    const names = ['CI_PROJECT_ID', 'CI_CONCURRENT_ID', 'CI_CONCURRENT_PROJECT_ID', 'CI_RUNNER_ID'];
    const job = await runHostJob({
      settings: 'keep_builds: true\n',
      variables: {
        ...Object.fromEntries(names.map((name) => [name, evil])),
        CI_JOB_IMAGE: '../../..',
        CI_JOB_TIMEOUT: '999999999',
        CI_RUNNER_SHORT_TOKEN: evil,
        CI_PROJECT_PATH: evil,
        CI_SERVER_HOST: evil,
        NSPAWN_RUNNER_SETTINGS: evil,
        NSPAWN_RUNNER_STATE_DIR: evil,
      },
      script: ['echo "$_CI_JOB_TAG"'],
    });
    expect(job.status).toBe('success');
    expect(job.text('build_script')).toMatch(/\nrunner-0-project-\d+-concurrent-0-\d+\n$/);
  });

  it('NODE_OPTIONS and LD_LIBRARY_PATH are the script’s, and no stage’s', async () => {
    const job = await runHostJob({
      variables: { NODE_OPTIONS: '--require=/nonexistent', LD_LIBRARY_PATH: '/nonexistent' },
      script: ['echo "$NODE_OPTIONS"'],
    });
    expect(job.status).toBe('success');
    expect(job.text('build_script')).toContain('\n--require=/nonexistent\n');
  });
});

describe.concurrent('the identity', () => {
  it('of 19 digits keeps every digit, beside another that differs in the last', async () => {
    const ids = [9223372036854775806n, 9223372036854775807n];
    const jobs = await Promise.all(ids.map((id) => runHostJob({ id, script: ['hostname'] })));
    for (const [index, job] of jobs.entries()) {
      expect(job.status).toBe('success');
      expect(job.text('build_script')).toMatch(new RegExp(`\\nnsr1-[a-z2-7]{8}-${ids[index]}\\n$`));
    }
  });

  it('with services is the same; no service is started, and the log says so', async () => {
    const services = [
      { name: 'postgres:16', alias: 'db,database', variables: [{ key: 'A', value: 'b\n"' }] },
      { name: 'x', entrypoint: ['/bin/x'], command: ['--y', '"'] },
    ];
    const job = await runHostJob({ script: ['echo works'], response: { services } });
    expect(job.status).toBe('success');
    expect(job.text('build_script')).toMatch(/\nworks\n$/);
    expect(job.text('prepare')).toContain('No service is started');
  });
});

describe('the config stage', () => {
  it('prints one JSON object and nothing else, also with --debug', async () => {
    for (const more of [[], ['--debug'], ['--verbose']]) {
      const job = await DriverJob.create({ variables: { NODE_DEBUG: 'fs', NODE_PENDING: '1' } });
      const { stdout, status } = await job.stage('config', ...more);
      expect(status).toBe(0);
      expect(Object.keys(JSON.parse(stdout) as object).sort()).toEqual([
        ...[
          'builds_dir',
          'builds_dir_is_shared',
          'cache_dir',
          'driver',
          'hostname',
          'job_env',
          'shell',
        ],
      ]);
      expect(stdout).toMatch(/^\{[^\n]*\}\n?$/);
      await job.dispose();
    }
  });

  it('hands job_env on to the driver, not to the job, and no stage depends on it', async () => {
    const state = '/var/lib/nspawn-runner';
    const visible = await runHostJob({ script: ['env | grep -c NSPAWN_RUNNER || echo unseen'] });
    expect(visible.text('build_script')).toContain('\nunseen\n');
    const job = await DriverJob.create();
    const config = JSON.parse((await job.stage('config')).stdout) as { job_env: unknown };
    expect(config.job_env).toEqual({ NSPAWN_RUNNER_STATE_DIR: state });
    await job.prepare();
    job.env['NSPAWN_RUNNER_STATE_DIR'] = state;
    expect((await job.run('echo with')).stdout).toBe('with\n');
    delete job.env['NSPAWN_RUNNER_STATE_DIR'];
    expect((await job.run('echo without')).stdout).toBe('without\n');
    await job.dispose();
  });

  it('case 20: builds_dir of the settings is where the job works', async () => {
    const job = await runHostJob({
      settings: 'builds_dir: /srv/ci/deep\ncache_dir: /srv/cache\n',
      script: ['pwd; echo "$CI_BUILDS_DIR"; ls -d /srv/cache'],
    });
    expect(job.text('build_script')).toMatch(
      /\n\/srv\/ci\/deep\/group\/project\n\/srv\/ci\/deep\n\/srv\/cache\n$/,
    );
  });

  it('case 20: without a config stage the directories of config.toml are', async () => {
    const line = (verb: string) => [process.execPath, BUNDLE, verb];
    const job = await runHostJob({
      driver: { prepare: line('prepare'), run: line('run'), cleanup: line('cleanup') },
      buildsDir: '/elsewhere',
      cacheDir: '/cache',
      script: ['pwd; echo "$CI_PROJECT_DIR"'],
    });
    expect(job.text('build_script')).toMatch(
      /\n\/elsewhere\/group\/project\n\/elsewhere\/group\/project\n$/,
    );
  });
});
