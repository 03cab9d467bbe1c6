/**
 * A Git server for jobs: a few bare repositories over HTTP on 127.0.0.1, which machines reach through
 * the host's network. It serves files (the "dumb" protocol) and the objects of git-lfs.
 */
import { execa } from 'execa';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, normalize } from 'node:path';
import type { JobResponse } from '../../src/runner/job.ts';

const TOKEN = 'token-of-the-repository';
const IDENTITY = ['-c', 'user.name=Test', '-c', 'user.email=test@example.com'];
const LFS_TEXT = 'the large file\n';
const LFS_OID = createHash('sha256').update(LFS_TEXT).digest('hex');
const LFS_POINTER = `version https://git-lfs.github.com/spec/v1\noid sha256:${LFS_OID}\nsize ${LFS_TEXT.length}\n`;

export type Mode = 'serving' | 'hanging' | 'failing';

export interface Certificate {
  readonly key: string;
  /** The server's own first, then those between it and the root. */
  readonly chain: string;
}

/** Branches `main` and `other`; `main` has file, sub/ (a submodule with a submodule) and large (LFS). */
export interface Repository {
  readonly gitInfo: (branch: 'main' | 'other') => JobResponse['git_info'];
  /** Paths that were asked for, in order. */
  readonly requests: readonly string[];
  readonly setMode: (mode: Mode) => void;
  readonly close: () => Promise<void>;
}

export async function startRepository(certificate?: Certificate): Promise<Repository> {
  const root = await mkdtemp(join(tmpdir(), 'repository-'));
  const shas = await makeRepositories(root);
  const requests: string[] = [];
  let mode: Mode = 'serving';
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    requests.push(request.url ?? '');
    if (mode === 'hanging') return;
    if (mode === 'failing') response.writeHead(503).end();
    else void serve(root, request, response);
  };
  const { key, chain: cert = '' } = certificate ?? {};
  const server = key === undefined ? createServer(answer) : createTlsServer({ key, cert }, answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const scheme = key === undefined ? 'http' : 'https';
  return {
    requests,
    setMode: (next) => {
      mode = next;
    },
    gitInfo: (branch) => ({
      repo_url: `${scheme}://gitlab-ci-token:${TOKEN}@127.0.0.1:${port}/group/project.git`,
      ref: branch,
      sha: shas[branch],
      before_sha: '0'.repeat(40),
      ref_type: 'branch',
      refspecs: [`+refs/heads/${branch}:refs/remotes/origin/${branch}`],
      depth: 0,
    }),
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      await rm(root, { recursive: true, force: true });
    },
  };
}

async function serve(
  root: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { pathname } = new URL(request.url ?? '/', 'http://localhost');
  if (pathname.includes('/info/lfs/')) {
    serveLfs(pathname, request, response);
    return;
  }
  const expected = `Basic ${Buffer.from(`gitlab-ci-token:${TOKEN}`).toString('base64')}`;
  if (request.headers.authorization !== expected) {
    response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
    return;
  }
  const content = await readFile(join(root, normalize(pathname))).catch(() => undefined);
  if (content === undefined) response.writeHead(404).end();
  else response.end(content);
}

/** github.com/git-lfs/git-lfs docs/api/batch.md; an object's own address is below the same path. */
function serveLfs(pathname: string, request: IncomingMessage, response: ServerResponse): void {
  if (pathname.endsWith(LFS_OID)) {
    response.end(LFS_TEXT);
    return;
  }
  const href = `http://${request.headers.host}/group/project.git/info/lfs/${LFS_OID}`;
  const object = { oid: LFS_OID, size: LFS_TEXT.length, actions: { download: { href } } };
  response.writeHead(200, { 'content-type': 'application/vnd.git-lfs+json' });
  response.end(JSON.stringify({ transfer: 'basic', objects: [object] }));
}

type Shas = Readonly<Record<'main' | 'other', string>>;

async function makeRepositories(root: string): Promise<Shas> {
  const work = join(root, 'work');
  await makeRepository(join(work, 'nested'), { 'nested-file': 'nested\n' });
  await makeRepository(join(work, 'sub'), { 'sub-file': 'sub\n' });
  await addSubmodule(join(work, 'sub'), 'nested', join(work, 'nested'));
  const project = join(work, 'project');
  await makeRepository(project, {
    file: 'on main\n',
    '.gitattributes': 'large filter=lfs diff=lfs merge=lfs -text\n',
    large: LFS_POINTER,
  });
  await addSubmodule(project, 'sub', join(work, 'sub'));
  const main = await git(project, 'rev-parse', 'HEAD');
  await git(project, 'checkout', '-q', '-b', 'other');
  await writeFile(join(project, 'file'), 'on other\n');
  await git(project, 'commit', '-q', '-a', '-m', 'other');
  const other = await git(project, 'rev-parse', 'HEAD');
  for (const name of ['project', 'sub', 'nested']) {
    const bare = join(root, 'group', `${name}.git`);
    await git(root, 'clone', '-q', '--bare', join(work, name), bare);
    await git(bare, 'update-server-info');
  }
  await rm(work, { recursive: true });
  return { main, other };
}

async function makeRepository(
  directory: string,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  await mkdir(directory, { recursive: true });
  await git(directory, 'init', '-q', '--initial-branch=main');
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
  await git(directory, 'add', '.');
  await git(directory, 'commit', '-q', '-m', 'first');
}

/** As GitLab's documentation wants them: with a relative URL, which the job's token then fits. */
async function addSubmodule(directory: string, name: string, source: string): Promise<void> {
  const sha = await git(source, 'rev-parse', 'HEAD');
  const text = `[submodule "${name}"]\n\tpath = ${name}\n\turl = ../${name}.git\n`;
  await writeFile(join(directory, '.gitmodules'), text);
  await git(directory, 'add', '.gitmodules');
  await git(directory, 'update-index', '--add', '--cacheinfo', `160000,${sha},${name}`);
  await git(directory, 'commit', '-q', '-m', 'submodule');
}

async function git(cwd: string, ...args: string[]): Promise<string> {
  // A git-lfs on the host must not take part: the pointer is committed as it is.
  const filters = [
    '-c',
    'filter.lfs.clean=',
    '-c',
    'filter.lfs.process=',
    '-c',
    'filter.lfs.required=false',
  ];
  const { stdout } = await execa('git', [...IDENTITY, ...filters, ...args], {
    cwd,
    stdin: 'ignore',
  });
  return stdout;
}
