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

const DEFAULT_TAG = 'runner-7-project-42-concurrent-3-4711';
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
  it('comes from the response file', () => {
    expect(readJob({ ...distrustful, runner: 'one' }, env)).toEqual({
      id: '4711',
      origin: 'gitlab.example.com:8443/git',
      projectId: '42',
      name: 'te?st',
      image: 'debian-12',
      timeoutSec: 3600,
      tag: 'runner-7-project-42-concurrent-3-4711',
      slot: '3',
      responseFile: file,
      tmpDir: dir,
      runner: 'one',
      wantsRunnerBinary: false,
      services: [],
    });
  });

  it.each([
    ['one that a wrapper sets holds', ['PATH=/bin', 'TAG=x'], 'wrapped'],
    ['one that GitLab Runner has marks no job', ['PATH=/bin', '_CI_JOB_TAG=wrapped'], DEFAULT_TAG],
    ['another one of GitLab Runner is not in the way', ['_CI_JOB_TAG=wrapped2'], 'wrapped'],
    ['whose it is cannot be told', undefined, DEFAULT_TAG],
  ])('tag: %s', (_, ofRunner, tag) => {
    const options = { ...distrustful, ofRunner: () => ofRunner };
    expect(readJob(options, { ...env, _CI_JOB_TAG: 'wrapped' })?.tag).toBe(tag);
  });

  it('needs no variable at all', () => {
    expect(readJob(distrustful, { JOB_RESPONSE_FILE: file })).toMatchObject({
      id: '4711',
      tag: 'runner-0-project-42-concurrent-0-4711',
      slot: '0',
      tmpDir: undefined,
      runner: undefined,
    });
  });

  it.each(['', '-1', '3/../4', '3\n', '1'.repeat(20), 'x'])(
    'takes no slot or runner id such as %j',
    (value) => {
      const spoofed = {
        ...env,
        CUSTOM_ENV_CI_RUNNER_ID: value,
        CUSTOM_ENV_CI_CONCURRENT_PROJECT_ID: value,
      };
      expect(readJob(distrustful, spoofed)).toMatchObject({
        slot: '0',
        tag: 'runner-0-project-42-concurrent-0-4711',
      });
    },
  );

  it('is refused when its CI_JOB_ID is another', () => {
    for (const id of ['4712', '04711', '4711 ', '../4711']) {
      expect(() => readJob(distrustful, { ...env, CUSTOM_ENV_CI_JOB_ID: id })).toThrow(
        expect.objectContaining({
          name: 'JobError',
          message: `Variable CI_JOB_ID is "${id}", but this is job "4711".`,
          hint: 'Remove CI_JOB_ID from the variables of the job: GitLab sets it.',
        }),
      );
    }
  });

  it('is cleaned up even so, under its own id', () => {
    const spoofed = { ...env, CUSTOM_ENV_CI_JOB_ID: '1' };
    const job = readJob({ ...trustful, id: '2', forCleanup: true }, spoofed);
    expect(job?.id).toBe('4711');
  });

  it('is the one that --id says', () => {
    expect(readJob({ ...distrustful, id: '4711' }, env)?.id).toBe('4711');
    expect(() => readJob({ ...distrustful, id: '1' }, env)).toThrow(
      expect.objectContaining({
        name: 'UsageError',
        message: '--id=1 is not the id "4711" of the job.',
        hint: 'Leave --id out: GitLab Runner gives the id in its job response file.',
      }),
    );
  });
});

describe('without a response file', () => {
  it('is refused', () => {
    expect(() => readJob(distrustful, variables)).toThrow(
      expect.objectContaining({
        name: 'HostError',
        message:
          'GitLab Runner 14.1 or newer is needed: this one gives no job response file, and without it any job could pass for another.',
        hint: 'Update it, or set `trust_job_id_variable: true` if you trust every author of a job.',
      }),
    );
    expect(() => readJob(trustful, {})).toThrow(
      expect.objectContaining({
        name: 'HostError',
        message: 'GitLab Runner gives neither a job response file nor CI_JOB_ID.',
        hint: 'Update GitLab Runner to 14.1 or newer.',
      }),
    );
  });

  it('takes the variables where the settings trust them', () => {
    expect(readJob(trustful, variables)).toEqual({
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
  ])('the origin of %j is %j', (extra, origin) => {
    expect(readJob({ ...trustful, id: '1' }, extra)?.origin).toBe(origin);
  });

  it.each(['007', '-1', '1.0', '../1', '1\n', '12345678901234567890'])(
    'takes no id such as %j',
    (id) => {
      const shown = id.replace('\n', '?');
      const message = `Job id "${shown}" is not a decimal number of at most 19 digits.`;
      expect(() => readJob({ ...distrustful, id }, {})).toThrow(
        expect.objectContaining({
          name: 'UsageError',
          message,
        }),
      );
      const spoofed = { CUSTOM_ENV_CI_JOB_ID: id };
      expect(() => readJob(trustful, spoofed)).toThrow(
        expect.objectContaining({ name: 'JobError', message }),
      );
      expect(readJob({ ...trustful, forCleanup: true }, spoofed)).toBeUndefined();
    },
  );

  it('leaves cleanup to the record of TMPDIR', () => {
    expect(readJob({ ...distrustful, forCleanup: true }, variables)).toBeUndefined();
    expect(readJob({ ...trustful, forCleanup: true }, variables)?.id).toBe('4711');
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
  ])('%s: %s', (path, reason) => {
    const unusable = { ...env, JOB_RESPONSE_FILE: path };
    expect(() => readJob(trustful, unusable)).toThrow(
      expect.objectContaining({
        name: 'HostError',
        message: `Job response file "${path}" cannot be used: ${reason}.`,
        hint: 'GitLab Runner writes it for each job; look for a full disk or a cleaner of temporary files.',
      }),
    );
    expect(readJob({ ...distrustful, forCleanup: true }, unusable)).toBeUndefined();
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
