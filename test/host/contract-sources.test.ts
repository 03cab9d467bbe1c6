/** Contract: get_sources in the machine, from a server on the host (cases 9–12, 16–18, 23–26). */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EmulatedResult } from '../runner-emulator.ts';
import { makeChain, type Chain } from './certificate.ts';
import { STATE_DIR } from './driver.ts';
import { newProject, runHostJob, type HostJobOptions } from './host-job.ts';
import { startRepository, type Repository } from './repository.ts';

const KEPT = 'keep_builds: true\n';
const SHOW = ['cat file', 'git -C . rev-parse --short HEAD', 'git config --get remote.origin.url'];

let repository: Repository;
beforeAll(async () => {
  repository = await startRepository();
});
afterAll(() => repository.close());

type Sources = HostJobOptions & { readonly branch?: 'main' | 'other'; readonly hooks?: boolean };

function runFrom(server: Repository, options: Sources): Promise<EmulatedResult> {
  const { branch = 'main', hooks = false, response, ...job } = options;
  const hook = (name: string) => ({ name, script: [`echo "hook ${name}"`] });
  return runHostJob({
    script: SHOW,
    ...job,
    response: {
      git_info: server.gitInfo(branch),
      ...(hooks ? { hooks: ['pre_get_sources_script', 'post_get_sources_script'].map(hook) } : {}),
      ...response,
    },
  });
}

/** Jobs of one project, one after the other, whose builds are kept on the host. */
async function runKept(server: Repository, jobs: readonly Sources[]): Promise<EmulatedResult[]> {
  const project = newProject();
  const results: EmulatedResult[] = [];
  for (const job of jobs) results.push(await runFrom(server, { settings: KEPT, project, ...job }));
  const builds = join(STATE_DIR, 'builds');
  for (const instance of await readdir(builds)) {
    await rm(join(builds, instance, String(project)), { recursive: true, force: true });
  }
  return results;
}

describe.concurrent('GIT_STRATEGY', () => {
  it('case 9: clone twice, each time anew, with hooks before and after', async () => {
    const clone: Sources = { variables: { GIT_STRATEGY: 'clone' }, hooks: true };
    const dirty = { ...clone, script: [...SHOW, 'echo left >untracked'] };
    const [first, second] = await runKept(repository, [
      dirty,
      { ...clone, script: ['ls untracked 2>/dev/null || echo anew'] },
    ]);
    expect(first).toMatchObject({ status: 'success' });
    const fetched = first?.text('get_sources') ?? '';
    expect(fetched).toMatch(/hook pre_get.*Checking out .*hook post_get/s);
    expect(first?.text('build_script')).toContain('\non main\n');
    expect(second?.text('build_script')).toContain('\nanew\n');
  });

  it('case 10: GIT_CHECKOUT=false fetches and checks nothing out', async () => {
    const job = await runFrom(repository, {
      variables: { GIT_STRATEGY: 'clone', GIT_CHECKOUT: 'false' },
      script: ['ls', 'git cat-file -t origin/main'],
    });
    expect(job.text('get_sources')).toContain('Skipping Git checkout');
    expect(job.text('build_script')).toMatch(/\$ ls\S*\n\S*\$ git cat-file.*\ncommit\n/);
  });

  it.each([
    ['11', 'none', 'Skipping Git repository setup'],
    ['12', 'empty', 'creating an empty build directory'],
  ])('case %s: %s with recursive submodules fetches nothing', async (_, strategy, words) => {
    const job = await runFrom(repository, {
      variables: { GIT_STRATEGY: strategy, GIT_SUBMODULE_STRATEGY: 'recursive' },
      script: ['pwd', 'find . -mindepth 1 | wc -l'],
    });
    expect(job.text('get_sources')).toContain(words);
    expect(job.text('get_sources')).toContain('Skipping Git submodules setup');
    expect(job.text('build_script')).toMatch(/\n\/builds\/group\/project\n.*\n0\n/s);
  });

  it('case 23: a clone that is to be cleaned is clean for whoever comes next', async () => {
    const variables = { GIT_STRATEGY: 'clone', FF_ENABLE_JOB_CLEANUP: 'true' };
    const [, second] = await runKept(repository, [
      { variables, script: ['echo left >untracked; rm file'] },
      {
        variables: { GIT_STRATEGY: 'none' },
        script: ['ls untracked 2>/dev/null || echo cleaned; cat file'],
      },
    ]);
    expect(second?.text('build_script')).toContain('\ncleaned\non main\n');
  });

  it('cases 18, 24: fetch goes on with the kept checkout, and changes branches', async () => {
    const fetch = { GIT_STRATEGY: 'fetch' };
    const first = {
      variables: fetch,
      script: [...SHOW, 'echo old >untracked', 'touch .git/index.lock .git/shallow.lock'],
    };
    const locks = {
      variables: { ...fetch, FF_ENABLE_JOB_CLEANUP: 'true' },
      branch: 'other' as const,
      script: ['cat file; ls untracked 2>/dev/null || echo clean; echo new >untracked; rm file'],
    };
    const look = {
      variables: { GIT_STRATEGY: 'none' },
      script: ['ls untracked 2>/dev/null || echo cleaned; cat file'],
    };
    const before = repository.requests.length;
    const [one, two, three] = await runKept(repository, [first, locks, look]);
    expect(repository.requests.length).toBeGreaterThan(before);
    expect([one?.status, two?.status, three?.status]).toEqual(['success', 'success', 'success']);
    expect(one?.text('build_script')).toContain('\non main\n');
    expect(two?.text('build_script')).toContain('\non other\nclean\n');
    expect(three?.text('build_script')).toContain('\ncleaned\non other\n');
  });

  it('locks of Git that a killed job left stop no later one', async () => {
    const locks = ['index', 'shallow', 'HEAD', 'config', 'refs/remotes/origin/main'];
    const touch = locks.map((name) => `touch .git/${name}.lock`);
    const [, second] = await runKept(repository, [
      { variables: { GIT_STRATEGY: 'fetch' }, script: [...touch, 'kill -KILL $PPID; sleep 60'] },
      { variables: { GIT_STRATEGY: 'fetch' }, branch: 'main' },
    ]);
    expect(second).toMatchObject({ status: 'success' });
    expect(second?.text('build_script')).toContain('\non main\n');
  });
});

describe.concurrent('submodules and large files', () => {
  it.each([
    ['25', 'normal', 'nested'],
    ['26', 'recursive', 'nested/nested-file'],
  ])('case %s: %s submodules come with the job’s token', async (_, strategy, found) => {
    const job = await runFrom(repository, {
      variables: {
        GIT_STRATEGY: 'clone',
        GIT_SUBMODULE_STRATEGY: strategy,
        FF_ENABLE_JOB_CLEANUP: 'true',
      },
      script: ['cat sub/sub-file', 'cd sub; find nested | sort | tail -1'],
    });
    expect(job).toMatchObject({ status: 'success' });
    expect(job.text('build_script')).toContain('\nsub\n');
    expect(job.text('build_script')).toContain(`\n${found}\n`);
  });

  it('files of git-lfs are there, and are pointers where the job wants that', async () => {
    const script = ['cat large'];
    const clone = { GIT_STRATEGY: 'clone' };
    const [whole, pointer] = await Promise.all([
      runFrom(repository, { variables: clone, script }),
      runFrom(repository, { variables: { ...clone, GIT_LFS_SKIP_SMUDGE: 'true' }, script }),
    ]);
    expect(whole.text('build_script')).toContain('\nthe large file\n');
    expect(pointer.text('build_script')).toContain('\noid sha256:');
  });

  it('the token is in no configuration that the job leaves', async () => {
    const job = await runFrom(repository, { variables: { GIT_STRATEGY: 'clone' } });
    expect(job.text('build_script')).toMatch(/http:\/\/127\.0\.0\.1:\d+\/group\/project\.git\n/);
    expect(job.log).not.toContain('token-of-the-repository');
  });
});

describe('a server with certificates of one’s own', () => {
  let chain: Chain;
  let server: Repository;
  beforeAll(async () => {
    chain = await makeChain();
    server = await startRepository(chain);
  });
  afterAll(() => server.close());

  const variables = (strategy: string) => ({
    GIT_STRATEGY: strategy,
    GIT_SUBMODULE_STRATEGY: 'recursive',
    GIT_LFS_SKIP_SMUDGE: 'true',
    CI_SERVER_TLS_CA_FILE: { value: chain.root, file: true },
  });

  it('case 16: clone and submodules', async () => {
    const script = ['cat file sub/nested/nested-file'];
    const job = await runFrom(server, { variables: variables('clone'), script });
    expect(job.text('build_script')).toContain('\non main\nnested\n');
  });

  it('case 17: fetch, and a second job that goes on with the repository', async () => {
    const fetch = { variables: variables('fetch') };
    const [first, second] = await runKept(server, [
      { ...fetch, script: ['touch .git/kept'] },
      { ...fetch, script: ['ls .git/kept', 'cat sub/sub-file'] },
    ]);
    expect([first?.status, second?.status]).toEqual(['success', 'success']);
    expect(second?.text('build_script')).toContain('\n.git/kept\n');
  });

  it('is not trusted without them', async () => {
    const job = await runFrom(server, { variables: { GIT_STRATEGY: 'clone' } });
    expect(job).toMatchObject({ status: 'failed', failureReason: 'script_failure' });
    expect(job.text('get_sources')).toMatch(/certificate/i);
  });
});
