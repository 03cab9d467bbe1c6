/** Contract: the scripts of a job, what they print, and what passes from one to the next. */
import { randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DriverJob, host } from './driver.ts';
import { runHostJob } from './host-job.ts';

const step = (name: string, ...script: string[]) => ({ name, script });

describe.concurrent('a job that passes', () => {
  it('case 1: success, each stage in order, and few lines of ours', async () => {
    const job = await runHostJob({ script: ['echo hi'] });
    expect(job).toMatchObject({ status: 'success', exitCode: undefined, message: undefined });
    expect(job.names).toEqual([
      ...['config', 'prepare', 'prepare_script', 'get_sources', 'build_script'],
      ...['cleanup_file_variables', 'cleanup'],
    ]);
    expect(job.text('build_script')).toBe('\u001b[32;1m$ echo hi\u001b[0;m\nhi\n');
    expect(job.log).toMatch(/Running on nsr1-\S+ via \S+\.\.\.\n/);
    expect(job.log).toContain('Using Custom executor with driver nspawn-runner ');
    expect(job.operatorLog.replace(/^\{.*\}\n?$/m, '')).toBe('');
  });

  it('case 2: the marks of a log section come through as they are, in order', async () => {
    const marks = [
      String.raw`printf 'section_start:1700000000:a_b[collapsed=true]\r\033[0K\033[1mTitle\033[0m\n'`,
      'if true; then\n  echo inside\nfi',
      String.raw`printf 'section_end:1700000001:a_b\r\033[0K\n'`,
    ];
    const job = await runHostJob({ script: marks });
    expect(job.text('build_script', 'stdout')).toContain(
      'section_start:1700000000:a_b[collapsed=true]\r\u001b[0K\u001b[1mTitle\u001b[0m\n',
    );
    expect(job.log).toMatch(/section_start.*\ninside\n.*section_end:1700000001:a_b\r/s);
  });

  it('case 13: commands are not traced', async () => {
    const job = await runHostJob({ script: ['true traced'] });
    expect(job.log).not.toContain('+ true traced');
  });

  it('case 14: CI_DEBUG_TRACE shows commands, on stderr', async () => {
    const job = await runHostJob({
      variables: { CI_DEBUG_TRACE: 'true' },
      script: ['true traced'],
    });
    expect(job.text('build_script', 'stderr')).toMatch(/^\++ true traced$/m);
  });

  it('case 15: a command of several lines is shown by its first', async () => {
    const job = await runHostJob({ script: ['echo one\necho two'] });
    expect(job.log).toContain('$ echo one # collapsed multi-line command');
    expect(job.text('build_script')).toMatch(/\none\ntwo\n$/);
  });

  it('reads the end of its input at once', async () => {
    const job = await runHostJob({ script: ['cat; read -r x || echo nothing to read', 'wc -c'] });
    expect(job.text('build_script')).toMatch(/\nnothing to read\n.*\n0\n$/s);
  });
});

describe.concurrent('from script to script', () => {
  it('further steps run under names we have never heard of, and the first failure ends them', async () => {
    const job = await runHostJob({
      script: ['echo made >made'],
      steps: [
        step('release', 'cat made'),
        step('quite-unknown_1', 'exit 7'),
        step('later', 'true'),
      ],
      afterScript: ['cat made'],
    });
    expect(job.names).toContain('step_quite-unknown_1');
    expect(job.names).not.toContain('step_later');
    expect(job).toMatchObject({ status: 'failed', exitCode: 7 });
    expect(job.text('step_release') + job.text('after_script')).toMatch(/\nmade\n.*\nmade\n/s);
  });

  it('step_script, as newer Runners call build_script, and stages of the future run as any other', async () => {
    const job = await DriverJob.create();
    await job.prepare();
    for (const stage of ['step_script', 'stage_of_the_future', '../../odd name;x', '']) {
      const result = await job.run('echo ran; exit 3', stage);
      expect([result.status, result.exitCode?.trim(), result.stdout], stage).toEqual([
        1,
        '3',
        'ran\n',
      ]);
    }
    expect((await job.run('systemctl is-system-running')).stdout).toBe('running\n');
    await job.dispose();
  });

  it('$GITLAB_ENV passes on, and after_script knows how the script ended', async () => {
    const write = 'echo "PASSED=one two" >>"$GITLAB_ENV"';
    const [passed, failed] = await Promise.all([
      runHostJob({
        script: [write],
        steps: [step('next', 'echo "next: $PASSED"')],
        afterScript: ['echo "after: $PASSED, $CI_JOB_STATUS"'],
      }),
      runHostJob({
        script: [write, 'exit 5'],
        afterScript: ['echo "after: $PASSED, $CI_JOB_STATUS"'],
      }),
    ]);
    expect(passed.text('step_next')).toContain('\nnext: one two\n');
    expect(passed.text('after_script')).toContain('\nafter: one two, success\n');
    expect(failed.text('after_script')).toContain('\nafter: one two, failed\n');
    expect(failed.statusVariable).toBe('failed');
  });

  it('a failing after_script changes nothing, unless the job says so', async () => {
    const after = { afterScript: ['exit 9'] };
    const variables = { AFTER_SCRIPT_IGNORE_ERRORS: 'false' };
    const [ignored, heeded] = await Promise.all([
      runHostJob(after),
      runHostJob({ ...after, variables }),
    ]);
    expect(ignored).toMatchObject({ status: 'success', exitCode: undefined });
    expect(heeded).toMatchObject({ status: 'failed', exitCode: 9 });
  });
});

describe.concurrent('between jobs', () => {
  it('two jobs of one project at once see nothing of each other', async () => {
    const script = (own: string) => [
      `echo ${own} >/root/own; echo ${own} >own; sleep 1; cat /root/own own`,
      `ls /root /tmp . | grep -c own`,
      'pgrep -fc "sleep 77" || true; sleep 77 & true',
      'id -u; hostname',
    ];
    const [one, two] = await Promise.all([
      runHostJob({ script: script('first'), project: 4711 }),
      runHostJob({ script: script('second'), project: 4711, concurrent: 1 }),
    ]);
    expect(one.text('build_script')).toMatch(/\nfirst\nfirst\n.*\n2\n.*\n0\n/s);
    expect(two.text('build_script')).toMatch(/\nsecond\nsecond\n.*\n2\n.*\n0\n/s);
  });

  it('the script is on no disk of the host while it runs, but where GitLab Runner put it', async () => {
    const marker = randomUUID();
    const job = await DriverJob.create();
    await job.prepare();
    const running = await job.startRun(`echo begun; sleep 2; : ${marker}`);
    await new Promise((resolve) => setTimeout(resolve, 800));
    const found = await host('sh', '-c', `grep -rls ${marker} ${job.directory} /run /tmp; true`);
    const files = found.split('\n').filter((file) => file !== '');
    expect(files).toEqual([expect.stringMatching(`^${job.tmpDir}/script0/script$`)]);
    await running.result;
    await job.dispose();
  });
});

describe('what GitLab Runner gives', () => {
  it('case 22: the job response is readable in every stage, and its id may be 0', async () => {
    const seen: unknown[] = [];
    const job = await runHostJob({
      id: 0,
      variables: { CI_JOB_ID: '' },
      on: ['prepare', 'build_script', 'cleanup'].map((stage) => ({
        at: { stage },
        act: async () => {
          const directory = await newestJobDirectory();
          seen.push(JSON.parse(await readFile(join(directory, 'response.json'), 'utf8')));
        },
      })),
    });
    expect(job.status).toBe('success');
    const info = { name: 'test job', stage: 'test', project_name: 'project' };
    expect(seen).toHaveLength(3);
    for (const response of seen) expect(response).toMatchObject({ id: 0, job_info: info });
    expect(job.log).toMatch(/Running on nsr1-\S+-0 via/);
  });

  it('case 21: a log limit of 12 bytes changes no end', async () => {
    const limit = { logLimitBytes: 12 };
    const [passed, failed, canceled] = await Promise.all([
      runHostJob({ ...limit, script: ['seq 1 20000'] }),
      runHostJob({ ...limit, script: ['seq 1 20000', 'exit 3'] }),
      runHostJob({
        ...limit,
        script: ['seq 1 20000; sleep 3600'],
        cancelAt: { stage: 'build_script', afterMs: 1500 },
      }),
    ]);
    expect(passed).toMatchObject({ status: 'success' });
    expect(failed).toMatchObject({ status: 'failed', exitCode: 3 });
    expect(canceled).toMatchObject({ status: 'canceled' });
    for (const job of [passed, failed, canceled]) {
      expect(job.log).toMatch(/^.{0,12}\nJob's log exceeded limit of 12 bytes\.\n$/s);
    }
  });
});

async function newestJobDirectory(): Promise<string> {
  const found = await host('sh', '-c', 'ls -dt /tmp/host-job-*/custom-executor* | head -1');
  expect(await readdir(found)).toContain('response.json');
  return found;
}
