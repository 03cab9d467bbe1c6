/** The scripts that fetch sources, caches and artifacts, with real git and a stub for gitlab-runner. */
import { execa } from 'execa';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { JobResponse } from '../../src/runner/job.ts';
import { responseOf, type EmulatedJob } from '../runner-emulator.ts';
import { standIn, type StandIn } from './stand-in.ts';

const GIT_ENV = {
  ...{ GIT_AUTHOR_NAME: 'a', GIT_AUTHOR_EMAIL: 'a@b' },
  ...{ GIT_COMMITTER_NAME: 'a', GIT_COMMITTER_EMAIL: 'a@b', GIT_ALLOW_PROTOCOL: 'file' },
};

interface Remote {
  readonly url: string;
  readonly commit: (file: string, text: string) => Promise<string>;
  readonly git: (...args: string[]) => Promise<string>;
}

async function remote(base: string, name: string): Promise<Remote> {
  const directory = join(base, name);
  await mkdir(directory);
  const git = async (...args: string[]): Promise<string> =>
    (await execa('git', args, { cwd: directory, env: GIT_ENV })).stdout;
  await git('init', '-q', '-b', 'main');
  return {
    url: `file://${directory}`,
    git,
    commit: async (file, text) => {
      await writeFile(join(directory, file), text);
      await git('add', '-A');
      await git('commit', '-q', '-m', `change ${file}`);
      return git('rev-parse', 'HEAD');
    },
  };
}

function sourcesOf(url: string, sha: string, more: Partial<EmulatedJob> = {}): EmulatedJob {
  const git_info: JobResponse['git_info'] = {
    ...{ repo_url: url, sha, ref: 'main' },
    refspecs: ['+refs/heads/main:refs/remotes/origin/main'],
    depth: 0,
  };
  const variables = { GIT_STRATEGY: 'fetch', GIT_ALLOW_PROTOCOL: 'file', ...more.variables };
  return { ...more, variables, response: { git_info, ...more.response } };
}

const project = (driver: StandIn): string => join(driver.base, 'builds/project-1');

describe('get_sources', () => {
  it('fetch takes up the repository of the job before: changes, lock files, ignored files', async () => {
    const driver = await standIn();
    const origin = await remote(driver.base, 'origin');
    const first = await origin.commit('a', '1');
    const leave = 'echo x >.git/index.lock; echo x >.git/refs/heads/x.lock; echo y >a; echo z >new';
    expect((await driver.run(sourcesOf(origin.url, first, { script: [leave] }))).status).toBe(
      'success',
    );
    const second = await origin.commit('a', '2');
    const job = await driver.run(
      sourcesOf(origin.url, second, { script: ['cat a; ls; git status'] }),
    );
    expect(job.status).toBe('success');
    expect(job.text('build_script')).toMatch(/\n2a\nHEAD detached at [0-9a-f]+\n/);
    expect(job.log).toContain(`Checking out ${second.slice(0, 8)} as detached HEAD (ref is main)`);
  });

  it('clone begins anew; GIT_DEPTH is the depth', async () => {
    const driver = await standIn();
    const origin = await remote(driver.base, 'origin');
    await origin.commit('a', '1');
    const sha = await origin.commit('a', '2');
    const variables = { GIT_STRATEGY: 'clone', GIT_DEPTH: '1' };
    const script = ['git rev-list --count HEAD; ls; touch left-behind'];
    for (const round of [1, 2]) {
      const job = await driver.run(sourcesOf(origin.url, sha, { variables, script }));
      expect(job.text('build_script'), String(round)).toMatch(/\n1\na\n$/);
      expect(job.log).toContain('Fetching changes with git depth set to 1...');
    }
  });

  it('runs hooks around it', async () => {
    const driver = await standIn();
    const origin = await remote(driver.base, 'origin');
    const sha = await origin.commit('a', '1');
    const hooks = [
      { name: 'pre_get_sources_script', script: ['echo before'] },
      { name: 'post_get_sources_script', script: ['echo "after: $(cat a)"'] },
    ];
    const job = await driver.run(
      sourcesOf(origin.url, sha, { response: { ...sourcesOf(origin.url, sha).response, hooks } }),
    );
    expect(job.text('get_sources')).toMatch(/before\n[\s\S]*after: 1\n/);
  });

  it('GIT_CHECKOUT=false checks nothing out', async () => {
    const driver = await standIn();
    const origin = await remote(driver.base, 'origin');
    const sha = await origin.commit('a', '1');
    const variables = { GIT_CHECKOUT: 'false' };
    const job = await driver.run(sourcesOf(origin.url, sha, { variables, script: ['ls -A'] }));
    expect(job.text('build_script')).toMatch(/\n\.git\n$/);
    expect(job.log).toContain('Skipping Git checkout');
  });

  it.each(['none', 'empty'])('%s makes the directory and no more', async (GIT_STRATEGY) => {
    const driver = await standIn();
    await mkdir(project(driver), { recursive: true });
    await writeFile(join(project(driver), 'old'), '');
    const job = await driver.run(
      sourcesOf('/nowhere', '', { variables: { GIT_STRATEGY }, script: ['ls -A'] }),
    );
    expect(job.text('build_script').endsWith('old\n')).toBe(GIT_STRATEGY === 'none');
    expect(job.log).toContain('Skipping Git submodules setup');
  });

  it('takes submodules as the job wants them', async () => {
    const driver = await standIn();
    const [inner, origin] = [await remote(driver.base, 'inner'), await remote(driver.base, 'o')];
    await inner.commit('b', 'inner text');
    await origin.commit('a', '1');
    await origin.git('submodule', 'add', '-q', inner.url, 'sub');
    const sha = await origin.commit('a', '2');
    const run = async (strategy: string): Promise<string> => {
      const variables = { GIT_SUBMODULE_STRATEGY: strategy };
      const script = ['cat sub/b || echo no submodule'];
      return (await driver.run(sourcesOf(origin.url, sha, { variables, script }))).log;
    };
    expect(await run('none')).toContain('no submodule');
    expect(await run('recursive')).toContain('inner text');
    expect(await run('odd')).toContain('unknown GIT_SUBMODULE_STRATEGY');
  });

  it('a broken repository is cleared once and tried again', async () => {
    const driver = await standIn();
    const origin = await remote(driver.base, 'origin');
    const sha = await origin.commit('a', '1');
    const variables = { GET_SOURCES_ATTEMPTS: '2' };
    const job = await driver.run(
      sourcesOf(`${origin.url}-gone`, sha, { variables, timing: { stageRetrySec: 0.02 } }),
    );
    expect(job.names.slice(3)).toEqual([
      ...['get_sources', 'clear_worktree', 'get_sources'],
      ...['cleanup_file_variables', 'cleanup'],
    ]);
    expect(job).toMatchObject({ failureReason: 'script_failure', exitCode: 128 });
  });
});

describe('caches and artifacts', () => {
  /** Records its arguments; `--version` succeeds. */
  async function withStub(driver: StandIn, status = 0): Promise<Readonly<Record<string, string>>> {
    const bin = join(driver.base, 'bin');
    await mkdir(bin);
    const stub = `#!/bin/sh\n[ "$1" = --version ] && exit 0\nprintf '%s\\n' "$*" >>"$BASE/moved"\nexit ${status}\n`;
    await writeFile(join(bin, 'gitlab-runner'), stub);
    await chmod(join(bin, 'gitlab-runner'), 0o755);
    return { PATH: `${bin}:${process.env['PATH'] ?? ''}` };
  }

  const response: Partial<JobResponse> = {
    cache: [{ key: 'k-$CI_JOB_ID', paths: ['a', 'b c'], fallback_keys: ['old'], when: 'always' }],
    artifacts: [
      { name: 'n', paths: ['out/$CI_JOB_ID'], exclude: ['x'], expire_in: '1 week', when: 'always' },
    ],
    dependencies: [{ id: 9, token: 'dt', name: 'earlier', artifacts_file: { filename: 'a.zip' } }],
  };

  it('call gitlab-runner with the words of GitLab', async () => {
    const driver = await standIn();
    const env = await withStub(driver);
    const job = await driver.run({ id: 77, response, env, serverUrl: 'https://gitlab.test/' });
    expect(job.status).toBe('success');
    expect((await readFile(join(driver.base, 'moved'), 'utf8')).trimEnd().split('\n')).toEqual([
      'cache-extractor --file ../../../cache/group/project/k-77/cache.zip --timeout 10',
      'artifacts-downloader --url https://gitlab.test/ --token dt --id 9',
      'cache-archiver --file ../../../cache/group/project/k-77/cache.zip --timeout 10 --path a --path b c',
      'artifacts-uploader --url https://gitlab.test/ --token job-token-of-a-test --id 77 --path out/77 --exclude x --name n --expire-in 1 week',
    ]);
    expect(job.log).toContain('Checking cache for k-77...');
  });

  it('a cache that fails is no failure, an artifact is', async () => {
    const driver = await standIn();
    const env = await withStub(driver, 3);
    const cache = await driver.run({ env, response: { cache: response.cache ?? [] } });
    expect(cache.status).toBe('success');
    expect(cache.log).toContain('Failed to extract cache');
    expect(cache.log).toContain('Failed to create cache');
    expect(await readFile(join(driver.base, 'moved'), 'utf8')).toContain('/old/cache.zip');
    const artifacts = await driver.run({ env, response: { artifacts: response.artifacts ?? [] } });
    expect(artifacts).toMatchObject({ failureReason: 'script_failure', exitCode: 3 });
  });

  it('the response of the emulator says nothing of them by itself', () => {
    expect(responseOf({})).toMatchObject({ cache: [], artifacts: [], dependencies: [] });
  });
});
