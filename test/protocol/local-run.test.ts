/** exec from the repository to the artifacts, with a driver that runs scripts on this host. */
import { execa } from 'execa';
import {
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  readlink,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseCiFile } from '../../src/runner/local/ci-file.ts';
import { copyArtifacts } from '../../src/runner/local/artifact-copy.ts';
import { readLocalJob } from '../../src/runner/local/local-job.ts';
import { localResponse } from '../../src/runner/local/local-response.ts';
import { runLocalJob } from '../../src/runner/local/local-run.ts';
import { readRepository } from '../../src/runner/local/repository.ts';
import { BUILT_PROGRAM } from '../runner-emulator.ts';

const DRIVER = join(import.meta.dirname, '../fixtures/driver/local.sh');
const IDENTITY = ['-c', 'user.name=a', '-c', 'user.email=a@b'];

async function scratch(): Promise<string> {
  const base = await mkdtemp(join(tmpdir(), 'local-run-'));
  onTestFinished(() => rm(base, { recursive: true, force: true }));
  return base;
}

/** Files by path; undefined for a file that is committed and then deleted. */
async function workingTree(
  base: string,
  committed: Readonly<Record<string, string>>,
  uncommitted: Readonly<Record<string, string | undefined>> = {},
): Promise<string> {
  const top = join(base, 'tree');
  const git = (...args: string[]) => execa('git', [...IDENTITY, ...args], { cwd: top });
  const put = async (path: string, text: string): Promise<void> => {
    await mkdir(dirname(join(top, path)), { recursive: true });
    await writeFile(join(top, path), text);
  };
  for (const [path, text] of Object.entries(committed)) await put(path, text);
  await git('init', '-q', '-b', 'main');
  await git('add', '-A');
  await git('commit', '-q', '-m', 'first');
  for (const [path, text] of Object.entries(uncommitted)) {
    if (text === undefined) await rm(join(top, path));
    else await put(path, text);
  }
  return top;
}

interface Ran {
  readonly status: string;
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly said: readonly string[];
}

async function runJob(base: string, top: string, text: string): Promise<Ran> {
  const repository = await readRepository(top);
  const job = readLocalJob(parseCiFile(text, '.gitlab-ci.yml'), 'job');
  const said: string[] = [];
  let stdout = '';
  const result = await runLocalJob({
    program: ['bash', DRIVER],
    arguments: [],
    hostEnv: { PATH: process.env['PATH'] ?? '', HOME: '/root', BASE: base },
    response: localResponse({
      ...{ id: 1n, job, repository, ciFile: '.gitlab-ci.yml', variables: [] },
    }),
    repository,
    keep: false,
    output: (chunk, { stream }) => {
      if (stream === 'stdout') stdout += chunk.toString();
    },
    say: (line) => said.push(line),
    warn: (line) => said.push(line),
    onStarted: () => undefined,
    signal: new AbortController().signal,
  });
  return { status: result.status, exitCode: result.exitCode, stdout, said };
}

describe('the working tree', () => {
  it('is what runs: changed, new and deleted files, the history, nothing that is ignored', async () => {
    const base = await scratch();
    const odd = 'odd \\ \n name';
    const top = await workingTree(
      base,
      { a: '1', gone: 'x', '.gitignore': 'ignored\n' },
      { a: '2', new: 'n', ignored: 'i', gone: undefined, [odd]: 'o', 'deep/er': 'd' },
    );
    const script = `job: { script: ['ls -A; cat a; git log --format=%s; cat ${JSON.stringify('odd').slice(1, -1)}*; pwd'] }`;
    const ran = await runJob(base, top, script);
    expect(ran.status).toBe('success');
    const { stdout } = ran;
    expect(stdout).toContain('2first\no');
    expect(stdout).toMatch(/^new$/m);
    expect(stdout).not.toMatch(/^(?:ignored|gone)$/m);
    expect(stdout).toContain(`${base}/builds/local/tree\n`);
    expect(
      (await readdir('/var/tmp')).filter((name) => name.startsWith('nspawn-runner-exec')),
    ).toEqual([]);
  });

  it('without git is the whole directory; of a worktree it has no history', async () => {
    const base = await scratch();
    const plain = join(base, 'plain');
    await mkdir(plain);
    await writeFile(join(plain, 'a'), 'text');
    const ran = await runJob(base, plain, 'job: { script: [cat a] }');
    expect(ran.stdout).toContain('text');
    expect(ran.said).toEqual([`${plain} is not a git repository: all of it is copied.`]);

    const top = await workingTree(base, { a: '1' });
    await execa('git', ['worktree', 'add', '-q', join(base, 'second')], { cwd: top });
    const other = await runJob(base, join(base, 'second'), 'job: { script: [ls -A] }');
    expect(other.stdout).toMatch(/^a$/m);
    expect(other.said).toEqual([
      'This is a worktree or a submodule: the job gets its files without the history.',
    ]);
  });
});

describe('artifacts', () => {
  it('come back, of a failed job too if it says so, and replace what is there', async () => {
    const base = await scratch();
    const top = await workingTree(base, { 'out/old.txt': 'old' });
    const ran = await runJob(
      base,
      top,
      `
job:
  script:
    - mkdir -p out/deep other; echo new >out/old.txt; echo d >out/deep/d.txt; echo no >out/deep/d.bin
    - echo x >out/skip.txt; echo e >other/e; ln -s d.txt out/deep/l.txt; chmod 4755 out/deep/d.txt
    - exit 3
  artifacts:
    paths: ['out/**/*.txt', other/, 'none/*', ../../x]
    exclude: [out/skip.txt]
    when: always
`,
    );
    expect(ran.exitCode).toBe(3);
    expect(ran.said).toEqual([
      'artifacts: ../../x is outside of the project.',
      'artifacts: none/* matches no file.',
      `Copied 4 files to ${top}.`,
    ]);
    expect(await readFile(join(top, 'out/old.txt'), 'utf8')).toBe('new\n');
    expect(await readFile(join(top, 'other/e'), 'utf8')).toBe('e\n');
    expect(await readlink(join(top, 'out/deep/l.txt'))).toBe('d.txt');
    expect((await lstat(join(top, 'out/deep/d.txt'))).mode & 0o7777).toBe(0o755);
    expect(await readdir(join(top, 'out/deep'))).toEqual(['d.txt', 'l.txt']);
  });

  it('of everything leave the repository alone', async () => {
    const base = await scratch();
    const top = await workingTree(base, { a: '1' });
    const ran = await runJob(
      base,
      top,
      'job: { script: [echo 2 >a, echo x >.git/hooks/evil], artifacts: { paths: [.], untracked: true } }',
    );
    expect(ran.said).toEqual([`Copied 1 file to ${top}.`]);
    await expect(lstat(join(top, '.git/hooks/evil'))).rejects.toThrow('ENOENT');
  });
});

describe('an archive that nobody vouches for', () => {
  /** Packs what `make` leaves in a directory. */
  async function archiveOf(base: string, make: string, names: readonly string[]): Promise<string> {
    const from = join(base, 'from');
    await mkdir(from);
    await execa('bash', ['-c', make], { cwd: from });
    const archive = join(base, 'a.tar');
    const rename = ['--transform=flags=r;s#^UP/#../../#', '--transform=flags=r;s#^ROOT/#/#'];
    await execa('tar', ['-P', ...rename, '-cf', archive, ...names], { cwd: from });
    return archive;
  }

  it.each([
    [
      'a link out of the tree',
      'ln -s /etc/passwd l; ln -s ../../x m',
      ['l', 'm'],
      [
        'l: a link to /etc/passwd, which is outside of the working tree',
        'm: a link to ../../x, which is outside of the working tree',
      ],
    ],
    ['a device and a pipe', 'mkfifo p', ['p'], ['p: neither a file nor a directory nor a link']],
    [
      'git hooks',
      'mkdir .git; touch .git/config',
      ['.git'],
      ['.git: the repository itself is not an artifact'],
    ],
    [
      'a file that says it is huge',
      'truncate -s 1T big',
      ['--sparse', 'big'],
      ['big: larger than the archive that it came in'],
    ],
  ])('with %s', async (_name, make, names, skipped) => {
    const base = await scratch();
    const tree = join(base, 'tree');
    await mkdir(tree);
    const archive = await archiveOf(base, make, names);
    expect(await copyArtifacts(archive, base, tree)).toEqual({ names: [], skipped });
    expect(await readdir(tree)).toEqual([]);
  });

  it('never writes through a link of the working tree', async () => {
    const base = await scratch();
    const [tree, outside] = [join(base, 'tree'), join(base, 'outside')];
    await mkdir(tree);
    await mkdir(outside);
    await writeFile(join(outside, 'f'), 'mine');
    await symlink(outside, join(tree, 'd'));
    await symlink(join(outside, 'f'), join(tree, 'f'));
    const archive = await archiveOf(base, 'mkdir d; echo x >d/g; echo y >f', ['d', 'f']);
    expect(await copyArtifacts(archive, base, tree)).toEqual({
      names: ['f'],
      skipped: ['d: the working tree has a link there'],
    });
    expect(await readdir(outside)).toEqual(['f']);
    expect(await readFile(join(outside, 'f'), 'utf8')).toBe('mine');
    expect(await readFile(join(tree, 'f'), 'utf8')).toBe('y\n');
  });

  it('names above the tree or from the root go nowhere', async () => {
    const base = await scratch();
    const tree = join(base, 'tree');
    await mkdir(tree);
    const archive = await archiveOf(base, 'mkdir UP ROOT; echo x >UP/evil; echo y >ROOT/evil', [
      'UP/evil',
      'ROOT/evil',
    ]);
    await expect(copyArtifacts(archive, base, tree)).rejects.toThrow('tar ended');
    expect(await readdir(tree)).toEqual([]);
    await expect(lstat('/evil')).rejects.toThrow('ENOENT');
  });
});

describe('nspawn-runner exec', () => {
  it.each([
    [['exec'], 2, 'Not enough non-option arguments: got 0, need at least 1\n'],
    [['exec', 'job', '--variable', 'x'], 2, '--variable "x": expected NAME=VALUE.\n'],
    [['exec', 'other'], 2, 'There is no job "other" in .gitlab-ci.yml.\n  Jobs there: job.\n'],
    [['exec', '--file=none.yml', 'job'], 2, 'none.yml" cannot be read.\n'],
  ])('%j', async (args, status, text) => {
    const base = await scratch();
    const top = await workingTree(base, { '.gitlab-ci.yml': 'job: { script: x }\n' });
    const ran = await execa(process.execPath, [BUILT_PROGRAM, ...args], {
      cwd: top,
      reject: false,
    });
    expect(ran.exitCode).toBe(status);
    expect(`${ran.stderr}\n`).toContain(text);
    expect(ran.stdout).toBe('');
  });
});
