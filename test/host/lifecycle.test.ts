/** Prepare and cleanup: repeated, half done, beside one another, and with what others left. */
import { execa } from 'execa';
import { mkdir, readFile, readlink, realpath, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DriverJob, host, isUp, leftovers, STATE_DIR } from './driver.ts';

describe('prepare', () => {
  it('says what it does in at most four lines', async () => {
    const job = await DriverJob.create();
    const { stderr, stdout } = await job.prepare();
    expect(stdout).toBe('');
    expect(stderr.trim().split('\n').length).toBeLessThanOrEqual(4);
    expect(stderr).toContain('Image "debian-12" is chroot debian-12');
    await job.dispose();
  });

  it('repeated has the same machine and finds nothing of the attempt before', async () => {
    const job = await DriverJob.create();
    await job.prepare();
    await job.run('echo stale >/root/stale; sleep 300 &');
    expect((await job.prepare()).status).toBe(0);
    const { stdout } = await job.run('ls -A /root | grep stale; pgrep -x sleep; echo fresh');
    expect(stdout).toBe('fresh\n');
    await job.dispose();
  });

  it.each([
    ['an empty directory', async (job: DriverJob) => mkdir(job.directory, { recursive: true })],
    [
      'a torn record',
      async (job: DriverJob) => {
        await mkdir(join(job.directory, 'upper'), { recursive: true });
        await writeFile(join(job.directory, 'record.json'), '{"format":1,');
      },
    ],
    [
      'a dead machine’s directory',
      async (job: DriverJob) => {
        await job.prepare();
        await execa('systemctl', ['kill', '--signal=KILL', job.unit]);
        await mkdir(job.directory, { recursive: true });
      },
    ],
    [
      'what a killed nspawn leaves',
      async (job: DriverJob) => {
        for (const kind of ['propagate', 'unix-export']) {
          await mkdir(`/run/systemd/nspawn/${kind}/${job.machine}`, { recursive: true });
        }
      },
    ],
  ])('goes over %s of its name', async (_, leave) => {
    const job = await DriverJob.create();
    await leave(job);
    const result = await job.prepare();
    expect(result.stderr).toContain('is ready after');
    expect((await job.run('echo up')).stdout).toBe('up\n');
    await job.dispose();
  });

  it('that fails half way tells why, and the cleanup that follows leaves nothing', async () => {
    const job = await DriverJob.create({ settings: 'boot_timeout: 1\n' });
    // A file where systemd-nspawn wants a directory for the machine's init stops every boot.
    const result = await job.stage('prepare', '--bind-ro=/nonexistent:/mnt');
    expect(result.status).toBe(2);
    expect(result.stderr).toContain(`Machine "${job.machine}" did not become ready.`);
    expect(result.stderr).toContain('/nonexistent');
    expect(await leftovers(job)).toEqual([]);
    await job.dispose();
  });

  it('keeps machines of two GitLab instances and of 19 digits apart', async () => {
    const ids = ['9223372036854775806', '9223372036854775807'];
    const [first, second] = await Promise.all(ids.map((id) => DriverJob.create({ id })));
    const other = await DriverJob.create({
      id: '9223372036854775806',
      response: { git_info: { repo_url: 'https://gitlab.example.net/g/p.git' } },
    });
    if (first === undefined || second === undefined) throw new Error('no jobs');
    const prepared = await Promise.all([first, second, other].map((job) => job.prepare()));
    expect(prepared.map(({ status }) => status)).toEqual([0, 0, 0]);
    const names = await Promise.all(
      [first, second, other].map(async (job) => (await job.run('hostname')).stdout.trim()),
    );
    expect(new Set(names).size).toBe(3);
    expect(names[0]).toBe(first.machine);
    await Promise.all([first.dispose(), second.dispose(), other.cleanup()]);
  });

  it('takes job id 0 and a job without a CI_JOB_ID variable', async () => {
    const job = await DriverJob.create({ id: '0', variables: { CUSTOM_ENV_CI_JOB_ID: '' } });
    expect((await job.prepare()).status).toBe(0);
    await job.dispose();
  });

  it('refuses a job id that the job’s author has set', async () => {
    const job = await DriverJob.create({ variables: { CUSTOM_ENV_CI_JOB_ID: '../../etc' } });
    const result = await job.prepare();
    expect(result.status).toBe(1);
    expect(await leftovers(job)).toEqual([]);
    await job.dispose();
  });

  it('fails as the job’s fault on an image that is not there, and lists what is', async () => {
    const job = await DriverJob.create({ image: 'debian-99' });
    for (const stage of ['config', 'prepare']) {
      const result = await job.stage(stage);
      expect(result.status).toBe(1);
      expect(result.stdout).toBe('');
      expect(result.stderr).toContain('Image "debian-99" is not available on this runner.');
      expect(result.stderr).toContain('debian-12, debian-13');
    }
    await job.dispose();
  });
});

describe('cleanup', () => {
  it('without a prepare, and twice, is silent and well', async () => {
    const job = await DriverJob.create();
    for (let i = 0; i < 2; i++) {
      const result = await job.cleanup();
      expect([result.status, result.stdout, result.stderr]).toEqual([0, '', '']);
    }
    await job.prepare();
    for (let i = 0; i < 2; i++) {
      const result = await job.cleanup();
      expect([result.status, result.stdout, result.stderr]).toEqual([0, '', '']);
    }
    expect(await leftovers(job)).toEqual([]);
    await job.dispose();
  });

  it('without a response file acts on the record that its TMPDIR proves, and on no other', async () => {
    const job = await DriverJob.create();
    await job.prepare();
    const env = { ...job.env };
    Object.assign(job.env, {
      JOB_RESPONSE_FILE: '',
      CUSTOM_ENV_CI_JOB_ID: '',
      TMPDIR: '/tmp/another',
    });
    expect((await job.cleanup()).status).toBe(0);
    expect(await isUp(job)).toBe(true);
    job.env['TMPDIR'] = env['TMPDIR'] ?? '';
    expect((await job.cleanup()).status).toBe(0);
    expect(await isUp(job)).toBe(false);
    Object.assign(job.env, env);
    await job.dispose();
  });

  it('with an empty environment ends well and touches nothing', async () => {
    const job = await DriverJob.create();
    await job.prepare();
    const settings = job.env['NSPAWN_RUNNER_SETTINGS'] ?? '';
    const bare = { PATH: job.env['PATH'] ?? '', NSPAWN_RUNNER_SETTINGS: settings };
    const keep = { ...job.env };
    for (const name of Object.keys(job.env)) if (!(name in bare)) job.env[name] = '';
    expect((await job.cleanup()).status).toBe(0);
    expect(await isUp(job)).toBe(true);
    Object.assign(job.env, keep);
    await job.dispose();
  });

  it('takes away files made immutable, and nothing behind a symbolic link', async () => {
    const canary = join(STATE_DIR, 'canary');
    await mkdir(canary, { recursive: true });
    await writeFile(join(canary, 'file'), 'alive');
    const job = await DriverJob.create();
    await job.prepare();
    await job.run(
      `mkdir -p /builds/deep; echo x >/builds/deep/fixed; chattr +i /builds/deep/fixed || true; ln -s ${canary} /builds/link; mkfifo /builds/pipe`,
    );
    await job.dispose();
    expect(await readFile(join(canary, 'file'), 'utf8')).toBe('alive');
  });

  it('is not kept waiting by a service that does not stop', async () => {
    const job = await DriverJob.create({ settings: 'stop_timeout: 1\n' });
    await job.prepare();
    await job.run(
      'systemd-run --quiet --unit=stubborn --property=TimeoutStopSec=60 sh -c \'trap "" TERM; sleep 300\'',
    );
    const { durationMs } = await job.cleanup();
    expect(durationMs).toBeLessThan(45_000);
    await job.dispose();
  });
});

describe('what outlives a job on purpose', () => {
  const project = (id: number) => ({
    job_info: { name: 't', stage: 't', project_id: id, project_name: 'p' },
  });

  it('the cache is the project’s, and no other project’s', async () => {
    const write = await DriverJob.create({ response: project(71) });
    await write.prepare();
    await write.run('echo kept >/cache/file; echo gone >/builds/file');
    await write.dispose();
    const read = await DriverJob.create({ response: project(71) });
    const other = await DriverJob.create({ response: project(72) });
    await Promise.all([read.prepare(), other.prepare()]);
    expect((await read.run('cat /cache/file; ls /builds')).stdout).toBe('kept\n');
    expect((await other.run('ls /cache')).stdout).toBe('');
    await Promise.all([read.dispose(), other.dispose()]);
  });

  it('builds are kept where the settings say so, and two jobs of a slot do not meet', async () => {
    const options = { settings: 'keep_builds: true\n', response: project(73) };
    const first = await DriverJob.create(options);
    await first.prepare();
    await first.run('echo kept >/builds/file');
    const beside = await DriverJob.create(options);
    const prepared = await beside.prepare();
    expect(prepared.stderr).toContain('Another job has the kept builds of this slot');
    expect((await beside.run('ls /builds')).stdout).toBe('');
    await Promise.all([first.dispose(), beside.dispose()]);
    const second = await DriverJob.create(options);
    await second.prepare();
    expect((await second.run('cat /builds/file')).stdout).toBe('kept\n');
    await second.dispose();
  });
});

describe('the host’s gitlab-runner', () => {
  it('is lent to the machine, read-only', async () => {
    await writeFile('/usr/local/bin/gitlab-runner', '#!/bin/sh\necho lent\n', { mode: 0o755 });
    const job = await DriverJob.create();
    await job.prepare();
    const result = await job.run(
      'gitlab-runner --version; echo x 2>/dev/null >>"$(command -v gitlab-runner)" || echo read-only',
    );
    expect(result.stdout).toBe('lent\nread-only\n');
    await job.dispose();
    await host('rm', '/usr/local/bin/gitlab-runner');
  });

  it('is missed in one plain line, by jobs that want it', async () => {
    const artifacts = { artifacts: [{ name: 'a', paths: ['x'], untracked: false }] };
    const wants = await DriverJob.create({ response: artifacts });
    expect((await wants.prepare()).stderr).toContain('This host has no gitlab-runner');
    await wants.dispose();
    const plain = await DriverJob.create();
    expect((await plain.prepare()).stderr).not.toContain('gitlab-runner to lend');
    await plain.dispose();
  });
});

describe('the host', () => {
  it('has no mount of a running machine in its own table, and the chroot is not written', async () => {
    const before = await host('find', await tree(), '-newer', '/proc/1', '-maxdepth', '2');
    const job = await DriverJob.create();
    await job.prepare();
    await job.run('echo x >/etc/marker; rm -rf /usr/share/doc');
    const mounts = await readFile('/proc/self/mountinfo', 'utf8');
    expect(mounts).not.toContain('/merged');
    expect(await host('find', await tree(), '-newer', '/proc/1', '-maxdepth', '2')).toBe(before);
    await job.dispose();
  });
});

async function tree(): Promise<string> {
  const current = join(STATE_DIR, 'chroots/debian-12/current');
  await readlink(current);
  return join(await realpath(current), 'tree');
}
