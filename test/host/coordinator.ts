/**
 * GitLab as a runner sees it, as little of it as one job needs: hand out a job, take its log, its
 * artifacts and its end, and tell of a cancellation (docs/ci/runners and lib/api/ci/runner.rb of
 * GitLab describe the calls). Listens on 127.0.0.1, where machines reach it through the host's network.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface OfferedJob {
  readonly id: number;
  readonly name: string;
  readonly image: string;
  readonly script: readonly string[];
  readonly afterScript?: readonly string[];
  /** Paths below the project's directory. */
  readonly artifacts?: readonly string[];
  readonly cache?: readonly string[];
  /** A job before this one, whose artifacts it gets. */
  readonly needs?: JobFile;
}

export interface JobEnd {
  readonly state: string;
  readonly failure_reason?: string;
  readonly exit_code?: number;
}

/** A job that a runner has, or will have. */
export interface JobFile {
  readonly id: number;
  readonly log: () => string;
  readonly cancel: () => void;
  readonly artifacts: readonly Buffer[];
  readonly ended: Promise<JobEnd>;
}

export interface Coordinator {
  readonly url: string;
  readonly offer: (job: OfferedJob) => JobFile;
  readonly close: () => Promise<void>;
}

interface Entry extends JobFile {
  readonly job: OfferedJob;
  status: 'pending' | 'running' | 'canceling' | 'ended';
  trace: Buffer;
  artifacts: Buffer[];
  end: (end: JobEnd) => void;
}

interface Answer {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

const JOB_PATH = /^\/api\/v4\/jobs\/(\d+)(\/trace|\/artifacts)?$/;

export async function startCoordinator(): Promise<Coordinator> {
  const entries: Entry[] = [];
  let url = '';
  const server = createServer((request, response) => {
    void readBody(request).then((body) => {
      send(response, answer(entries, url, request, body));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    offer: (job) => {
      const entry = newEntry(job);
      entries.push(entry);
      return entry;
    },
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

function newEntry(job: OfferedJob): Entry {
  const { promise, resolve } = promiseOf<JobEnd>();
  const entry: Entry = {
    job,
    id: job.id,
    status: 'pending',
    trace: Buffer.alloc(0),
    artifacts: [],
    ended: promise,
    end: resolve,
    log: () => entry.trace.toString(),
    cancel: () => {
      entry.status = 'canceling';
    },
  };
  return entry;
}

function promiseOf<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function send(response: ServerResponse, { status, body, headers }: Answer): void {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body ?? null));
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  response.end(status === 204 ? undefined : bytes);
}

function answer(
  entries: readonly Entry[],
  url: string,
  { method, url: path = '', headers }: IncomingMessage,
  body: Buffer,
): Answer {
  const { pathname } = new URL(path, url);
  if (pathname === '/api/v4/jobs/request') {
    const next = entries.find(({ status }) => status === 'pending');
    if (next === undefined) return { status: 204 };
    next.status = 'running';
    return { status: 201, body: jobResponse(next.job, url) };
  }
  const [, id, part] = JOB_PATH.exec(pathname) ?? [];
  const entry = entries.find((candidate) => String(candidate.id) === id);
  if (entry === undefined) return { status: 404 };
  if (part === '/artifacts') return artifacts(entry, method, headers['content-type'], body);
  if (part === '/trace') return trace(entry, headers['content-range'], body);
  return update(entry, JSON.parse(body.toString()) as JobEnd);
}

function jobStatus({ status }: Entry): Record<string, string> {
  return { 'Job-Status': status, 'X-GitLab-Trace-Update-Interval': '1' };
}

/** The runner numbers the bytes of its log; a gap is answered with where we are. */
function trace(entry: Entry, range: string | undefined, body: Buffer): Answer {
  const isNext = Number(range?.split('-')[0]) === entry.trace.length;
  if (isNext) entry.trace = Buffer.concat([entry.trace, body]);
  const headers = { ...jobStatus(entry), Range: `0-${entry.trace.length}` };
  return { status: isNext ? 202 : 416, headers };
}

function update(entry: Entry, end: JobEnd): Answer {
  if (end.state === 'success' || end.state === 'failed') {
    entry.status = 'ended';
    entry.end(end);
  }
  return { status: 200, headers: jobStatus(entry) };
}

function artifacts(
  entry: Entry,
  method: string | undefined,
  contentType: string | undefined,
  body: Buffer,
): Answer {
  if (method === 'GET') return { status: 200, body: entry.artifacts[0] ?? Buffer.alloc(0) };
  const boundary = /boundary=([^;]+)/.exec(contentType ?? '')?.[1] ?? '';
  const file = filePart(body, boundary);
  if (file === undefined) return { status: 400 };
  entry.artifacts.push(file);
  return { status: 201, body: {} };
}

/** The part `file` of a multipart/form-data body, RFC 7578. */
function filePart(body: Buffer, boundary: string): Buffer | undefined {
  const name = body.indexOf('name="file"');
  if (name === -1) return undefined;
  const start = body.indexOf('\r\n\r\n', name) + 4;
  return body.subarray(start, body.indexOf(`\r\n--${boundary}`, start));
}

/** The job as GitLab hands it out. */
function jobResponse(job: OfferedJob, url: string): unknown {
  const step = (name: string, script: readonly string[], when: string): unknown => ({
    name,
    script,
    when,
    timeout: 300,
    allow_failure: name !== 'script',
  });
  const after = job.afterScript;
  return {
    id: job.id,
    token: `token-of-${job.id}`,
    allow_git_fetch: true,
    job_info: {
      name: job.name,
      stage: 'test',
      project_id: 7,
      project_name: 'project',
      project_full_path: 'group/project',
    },
    git_info: {
      repo_url: `${url.replace('//', '//gitlab-ci-token:x@')}/group/project.git`,
      ref: 'main',
      sha: '0'.repeat(40),
      ref_type: 'branch',
      refspecs: [],
      depth: 0,
    },
    runner_info: { timeout: 300 },
    variables: Object.entries({
      CI_JOB_ID: String(job.id),
      CI_SERVER_URL: url,
      CI_API_V4_URL: `${url}/api/v4`,
      CI_PROJECT_PATH: 'group/project',
      GIT_STRATEGY: 'none',
    }).map(([key, value]) => ({ key, value, public: true })),
    steps: [
      step('script', job.script, 'on_success'),
      ...(after === undefined ? [] : [step('after_script', after, 'always')]),
    ],
    image: { name: job.image },
    services: [],
    credentials: [],
    artifacts: (job.artifacts ?? []).length === 0 ? [] : [archive(job.artifacts ?? [])],
    cache:
      job.cache === undefined
        ? []
        : [{ key: 'k', policy: 'pull-push', paths: job.cache, when: 'always' }],
    dependencies: job.needs === undefined ? [] : [dependency(job.needs)],
    features: { trace_sections: true, failure_reasons: FAILURE_REASONS },
  };
}

const FAILURE_REASONS = [
  'unknown_failure',
  'script_failure',
  'runner_system_failure',
  'job_execution_timeout',
  'job_canceled',
];

function archive(paths: readonly string[]): unknown {
  return {
    name: 'artifacts',
    paths,
    when: 'always',
    artifact_type: 'archive',
    artifact_format: 'zip',
  };
}

function dependency({ id, artifacts: [file] }: JobFile): unknown {
  return {
    id,
    token: `token-of-${id}`,
    name: `job ${id}`,
    artifacts_file: { filename: 'artifacts.zip', size: file?.length ?? 0 },
  };
}
