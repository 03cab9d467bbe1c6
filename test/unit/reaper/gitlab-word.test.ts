import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { askGitlab, questionIn, wordOf } from '../../../src/reaper/gitlab-word.ts';
import { aRecord } from './made-up.ts';

describe('wordOf', () => {
  it.each([
    ['the job itself', 200, { id: 7 }, 'runs'],
    ['the job itself, with its number as text', 200, { id: '7' }, 'runs'],
    ['another job', 200, { id: 8 }, 'unknown'],
    ['no job', 200, {}, 'unknown'],
    ['no object', 200, '7', 'unknown'],
    ['nothing', 200, undefined, 'unknown'],
    ['null', 200, null, 'unknown'],
    ['a job of another status', 201, { id: 7 }, 'unknown'],
    ['a token that is not valid any more', 401, { message: '401 Unauthorized' }, 'over'],
    ['a proxy that wants a password', 401, undefined, 'unknown'],
    ['forbidden', 403, undefined, 'unknown'],
    ['no such endpoint', 404, undefined, 'unknown'],
    ['too many requests', 429, undefined, 'unknown'],
    ['a broken GitLab', 500, undefined, 'unknown'],
    ['a GitLab that is being upgraded', 503, { id: 7 }, 'unknown'],
  ] as const)('%s', (_, status, body, word) => {
    expect(wordOf(status, '7', body)).toBe(word);
  });
});

describe('questionIn', () => {
  const response = (repo_url: unknown, token: unknown = 't'): string =>
    JSON.stringify({ token, git_info: { repo_url } });
  it.each([
    ['https', response('https://gitlab-ci-token:t@gitlab.example.com/a/b.git'), 'https:'],
    ['http', response('http://gitlab.example.com/a/b.git'), 'http:'],
    ['another protocol', response('ssh://git@gitlab.example.com/a/b.git'), undefined],
    ['a file', response('file:///srv/git'), undefined],
    ['an empty token', response('https://gitlab.example.com/a', ''), undefined],
    ['no token', response('https://gitlab.example.com/a', null), undefined],
  ])('of %s', (_, text, scheme) => {
    expect(questionIn(text)).toEqual(scheme === undefined ? undefined : { scheme, token: 't' });
  });

  it.each(['', '{', 'null', '{}', response('no address'), response(7), '{"git_info":null}'])(
    'throws for %j, which is no job response',
    (text) => {
      expect(() => questionIn(text)).toThrow();
    },
  );
});

describe('askGitlab', () => {
  let dir = '';
  let server: Server;
  let origin = '';
  let answer: (response: ServerResponse) => void;
  let asked: (string | undefined)[] = [];
  const { signal } = new AbortController();

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'gitlab-word-test-'));
    server = createServer((request, response) => {
      asked = [request.method, request.url, request.headers['job-token']?.toString()];
      answer(response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    origin = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    rmSync(dir, { recursive: true });
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  function responseFile(
    text = JSON.stringify({ token: 'secret', git_info: { repo_url: `http://${origin}/a.git` } }),
  ): string {
    const path = join(dir, 'response.json');
    rmSync(path, { force: true });
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }
  const says =
    (status: number, body = '', headers: Record<string, string> = {}) =>
    (response: ServerResponse) =>
      response.writeHead(status, headers).end(body);

  it('asks with the job’s token, and for nothing else', async () => {
    answer = says(200, '{"id":7}');
    const known = aRecord({ origin, responseFile: responseFile() });
    expect(await askGitlab(known, signal)).toBe('runs');
    expect(asked).toEqual(['GET', '/api/v4/job', 'secret']);
  });

  it.each([
    ['that the token is not valid', 401, '{"message":"401 Unauthorized"}', {}, 'over'],
    ['by a proxy that it is not allowed to ask', 401, 'Password required', {}, 'unknown'],
    ['half an answer', 200, '{"id":', {}, 'unknown'],
    ['where else to ask', 302, '', { location: 'https://elsewhere.example.com/' }, 'unknown'],
    ['a page for people', 200, '<html></html>', {}, 'unknown'],
  ] as const)('is told %s', async (_, status, body, headers, word) => {
    answer = says(status, body, headers);
    expect(await askGitlab(aRecord({ origin, responseFile: responseFile() }), signal)).toBe(word);
  });

  it('knows nothing of a GitLab that hangs up or is not there', async () => {
    answer = (response) => response.destroy();
    expect(await askGitlab(aRecord({ origin, responseFile: responseFile() }), signal)).toBe(
      'unknown',
    );
    const nowhere = aRecord({ origin: '127.0.0.1:1', responseFile: responseFile() });
    expect(await askGitlab(nowhere, signal)).toBe('unknown');
  });

  it('ends with the run of the reaper', async () => {
    answer = () => undefined;
    const known = aRecord({ origin, responseFile: responseFile() });
    expect(await askGitlab(known, AbortSignal.timeout(50))).toBe('unknown');
  });

  it('asks nobody without a response file that can be believed', async () => {
    asked = [];
    answer = says(401);
    const link = join(dir, 'link.json');
    symlinkSync(responseFile(), link);
    for (const path of [undefined, join(dir, 'none'), link, dir, responseFile('{')]) {
      expect(await askGitlab(aRecord({ origin, responseFile: path }), signal)).toBe('unknown');
    }
    expect(asked).toEqual([]);
  });
});
