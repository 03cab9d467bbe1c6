import { chmodSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { originOf, readJob, type Environment } from '../../../src/gitlab/job.ts';

const dir = mkdtempSync(join(tmpdir(), 'job-'));
const file = join(dir, 'response.json');
const response = {
  id: 4711,
  job_info: { name: 'te\u001bst', project_id: 42, project_full_path: 'group/project' },
  git_info: { repo_url: 'https://ci:secret@GitLab.example.com:8443/git/group/project.git' },
  runner_info: { timeout: 3600 },
  image: { name: 'debian-12' },
};
writeFileSync(file, JSON.stringify(response), { mode: 0o600 });
afterAll(() => {
  rmSync(dir, { recursive: true });
});

const distrustful = { trustJobIdVariable: false };
const trustful = { trustJobIdVariable: true };
const env: Environment = {
  TMPDIR: dir,
  JOB_RESPONSE_FILE: file,
  CUSTOM_ENV_CI_RUNNER_VERSION: '17.9.0',
  CUSTOM_ENV_CI_JOB_ID: '4711',
  CUSTOM_ENV_CI_RUNNER_ID: '7',
  CUSTOM_ENV_CI_CONCURRENT_PROJECT_ID: '3',
};
const variables: Environment = {
  TMPDIR: dir,
  JOB_RESPONSE_FILE: '',
  CUSTOM_ENV_CI_JOB_ID: '4711',
  CUSTOM_ENV_CI_PROJECT_ID: '42',
  CUSTOM_ENV_CI_PROJECT_PATH: 'group/project',
  CUSTOM_ENV_CI_REPOSITORY_URL: 'https://ci:secret@gitlab.example.com/git/group/project.git',
  CUSTOM_ENV_CI_JOB_NAME: 'test',
  CUSTOM_ENV_CI_JOB_IMAGE: 'debian-12',
  CUSTOM_ENV_CI_JOB_TIMEOUT: '3600',
};

describe('the job', () => {
  it('comes from the response file', async () => {
    expect(await readJob({ ...distrustful, runner: 'one' }, env)).toEqual({
      id: '4711',
      origin: 'gitlab.example.com:8443/git',
      projectId: '42',
      name: 'te?st',
      image: 'debian-12',
      timeoutSec: 3600,
      tag: 'runner-7-project-42-concurrent-3-4711',
      slot: '3',
      tmpDir: dir,
      runner: 'one',
      wantsRunnerBinary: false,
      services: [],
    });
  });

  it('needs no variable at all', async () => {
    expect(await readJob(distrustful, { JOB_RESPONSE_FILE: file })).toMatchObject({
      id: '4711',
      tag: 'runner-0-project-42-concurrent-0-4711',
      slot: '0',
      tmpDir: undefined,
      runner: undefined,
    });
  });

  it.each(['', '-1', '3/../4', '3\n', '1'.repeat(20), 'x'])(
    'takes no slot or runner id such as %j',
    async (value) => {
      const spoofed = {
        ...env,
        CUSTOM_ENV_CI_RUNNER_ID: value,
        CUSTOM_ENV_CI_CONCURRENT_PROJECT_ID: value,
      };
      expect(await readJob(distrustful, spoofed)).toMatchObject({
        slot: '0',
        tag: 'runner-0-project-42-concurrent-0-4711',
      });
    },
  );

  it('is refused when its CI_JOB_ID is another', async () => {
    for (const id of ['4712', '04711', '4711 ', '../4711']) {
      const job = readJob(distrustful, { ...env, CUSTOM_ENV_CI_JOB_ID: id });
      await expect(job).rejects.toMatchObject({
        name: 'JobError',
        message: `Variable CI_JOB_ID is "${id}", but this is job "4711".`,
        hint: 'Remove CI_JOB_ID from the variables of the job: GitLab sets it.',
      });
    }
  });

  it('is cleaned up even so, under its own id', async () => {
    const spoofed = { ...env, CUSTOM_ENV_CI_JOB_ID: '1' };
    const job = await readJob({ ...trustful, id: '2', forCleanup: true }, spoofed);
    expect(job?.id).toBe('4711');
  });

  it('is the one that --id says', async () => {
    expect((await readJob({ ...distrustful, id: '4711' }, env))?.id).toBe('4711');
    await expect(readJob({ ...distrustful, id: '1' }, env)).rejects.toMatchObject({
      name: 'UsageError',
      message: '--id=1 is not the id "4711" of the job.',
      hint: 'Leave --id out: GitLab Runner gives the id in its job response file.',
    });
  });
});

describe('without a response file', () => {
  it('is refused', async () => {
    await expect(readJob(distrustful, variables)).rejects.toMatchObject({
      name: 'HostError',
      message:
        'GitLab Runner 14.1 or newer is needed: this one gives no job response file, and without it any job could pass for another.',
      hint: 'Update it, or set `trust_job_id_variable: true` if you trust every author of a job.',
    });
    await expect(readJob(trustful, {})).rejects.toMatchObject({
      name: 'HostError',
      message: 'GitLab Runner gives neither a job response file nor CI_JOB_ID.',
      hint: 'Update GitLab Runner to 14.1 or newer.',
    });
  });

  it('takes the variables where the settings trust them', async () => {
    expect(await readJob(trustful, variables)).toEqual({
      id: '4711',
      origin: 'gitlab.example.com/git',
      projectId: '42',
      name: 'test',
      image: 'debian-12',
      timeoutSec: 3600,
      tag: 'runner-0-project-42-concurrent-0-4711',
      slot: '0',
      tmpDir: dir,
      runner: undefined,
      wantsRunnerBinary: true,
      services: [],
    });
  });

  it.each([
    [{}, ''],
    [{ CUSTOM_ENV_CI_SERVER_HOST: 'GitLab.example.com' }, 'gitlab.example.com'],
    [{ CUSTOM_ENV_CI_SERVER_HOST: 'a/../b' }, ''],
    [{ CUSTOM_ENV_CI_REPOSITORY_URL: 'https://a.example/x.git' }, 'a.example'],
  ])('the origin of %j is %j', async (extra, origin) => {
    expect((await readJob({ ...trustful, id: '1' }, extra))?.origin).toBe(origin);
  });

  it.each(['007', '-1', '1.0', '../1', '1\n', '12345678901234567890'])(
    'takes no id such as %j',
    async (id) => {
      const shown = id.replace('\n', '?');
      const message = `Job id "${shown}" is not a decimal number of at most 19 digits.`;
      await expect(readJob({ ...distrustful, id }, {})).rejects.toMatchObject({
        name: 'UsageError',
        message,
      });
      const spoofed = { CUSTOM_ENV_CI_JOB_ID: id };
      await expect(readJob(trustful, spoofed)).rejects.toMatchObject({ name: 'JobError', message });
      expect(await readJob({ ...trustful, forCleanup: true }, spoofed)).toBeUndefined();
    },
  );

  it('leaves cleanup to the record of TMPDIR', async () => {
    expect(await readJob({ ...distrustful, forCleanup: true }, variables)).toBeUndefined();
    expect((await readJob({ ...trustful, forCleanup: true }, variables))?.id).toBe('4711');
  });
});

describe('a response file that is not usable', () => {
  const link = join(dir, 'link.json');
  symlinkSync(file, link);
  const loose = join(dir, 'loose.json');
  writeFileSync(loose, '{}');
  chmodSync(loose, 0o666);
  const large = join(dir, 'large.json');
  writeFileSync(large, '', { mode: 0o600 });
  truncateSync(large, 64 * 1024 * 1024 + 1);

  it.each([
    [join(dir, 'absent.json'), 'it does not exist'],
    [link, 'it is a symbolic link'],
    [dir, 'it is no file'],
    [join(file, 'below'), 'it cannot be opened (ENOTDIR)'],
    [loose, 'others can write to it'],
    [large, 'its 67108865 bytes are more than 67108864'],
  ])('%s: %s', async (path, reason) => {
    const unusable = { ...env, JOB_RESPONSE_FILE: path };
    await expect(readJob(trustful, unusable)).rejects.toMatchObject({
      name: 'HostError',
      message: `Job response file "${path}" cannot be used: ${reason}.`,
      hint: 'GitLab Runner writes it for each job; look for a full disk or a cleaner of temporary files.',
    });
    expect(await readJob({ ...distrustful, forCleanup: true }, unusable)).toBeUndefined();
  });
});

describe('originOf', () => {
  it.each([
    ['https://gitlab.example.com/a/b.git', 'a/b', 'gitlab.example.com'],
    ['https://gitlab.example.com/git/a/b.git', 'a/b', 'gitlab.example.com/git'],
    ['https://gitlab.example.com/git/a/b.git', undefined, 'gitlab.example.com'],
    ['http://u:token@GITLAB:8080/a/b.git', 'a/b', 'gitlab:8080'],
    ['https://gitlab.example.com:443/a/b.git', 'a/b', 'gitlab.example.com'],
    ['https://[::1]:8080/a.git', 'a', '[::1]:8080'],
    ['ssh://git@GitLab.example.com/a/b.git', 'a/b', 'gitlab.example.com'],
    ['file:///srv/a.git', 'a', ''],
    ['/srv/a.git', 'a', ''],
    ['', undefined, ''],
  ])('%s with project %s is %s', (url, projectPath, origin) => {
    expect(originOf(url, projectPath)).toBe(origin);
  });
});
