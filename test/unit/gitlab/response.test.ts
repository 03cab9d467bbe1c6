import { describe, expect, it } from 'vitest';
import { HostError } from '../../../src/errors.ts';
import { parseResponse, quoteLongIntegers } from '../../../src/gitlab/response.ts';
import { fuzz } from '../fuzz.ts';

const source = { file: '/tmp/response.json', runnerVersion: '17.9.0' };
const minimal = { id: 1, job_info: { project_id: 2 } };

describe('parseResponse', () => {
  it('reads what the stages need', () => {
    const text = JSON.stringify({
      id: 4711,
      token: 'secret',
      job_info: { name: 'test', project_id: 42, project_full_path: 'group/project' },
      git_info: { repo_url: 'https://user:secret@gitlab.example.com/group/project.git' },
      runner_info: { timeout: 3600 },
      image: { name: 'debian-12' },
      artifacts: [{ paths: ['a'] }],
      services: [{ name: 'postgres:15', alias: 'db' }, { name: 1 }, null],
      unknown: { deep: [1] },
    });
    expect(parseResponse(text, source)).toEqual({
      id: '4711',
      projectId: '42',
      projectPath: 'group/project',
      name: 'test',
      repoUrl: 'https://user:secret@gitlab.example.com/group/project.git',
      image: 'debian-12',
      timeoutSec: 3600,
      movesFiles: true,
      services: ['postgres:15'],
    });
  });

  it('takes a job with nothing but ids', () => {
    expect(parseResponse(JSON.stringify(minimal), source)).toEqual({
      id: '1',
      projectId: '2',
      projectPath: undefined,
      name: '',
      repoUrl: '',
      image: undefined,
      timeoutSec: undefined,
      movesFiles: false,
      services: [],
    });
  });

  it.each(['0', '9007199254740993', '1000000000000000000', '9223372036854775807'])(
    'keeps every digit of id %s',
    (id) => {
      const text = `{"id":${id},"job_info":{"project_id": ${id} }}`;
      expect(parseResponse(text, source)).toMatchObject({ id, projectId: id });
    },
  );

  it.each([
    [{ artifacts: [], cache: [], dependencies: [] }, false],
    [{ artifacts: null, cache: null, dependencies: null }, false],
    [{ artifacts: [{ paths: [] }] }, false],
    [{ artifacts: [{ untracked: true }] }, true],
    [{ cache: [{ key: 'x', paths: ['a'] }] }, true],
    [{ dependencies: [{ id: 1, name: 'x' }] }, false],
    [{ dependencies: [{ artifacts_file: { filename: '' } }] }, false],
    [{ dependencies: [{ artifacts_file: { filename: 'a.zip', size: 1 } }] }, true],
  ])('%j moves files: %s', (parts, movesFiles) => {
    const response = parseResponse(JSON.stringify({ ...minimal, ...parts }), source);
    expect(response.movesFiles).toBe(movesFiles);
  });

  it.each([
    [{ image: null }, undefined],
    [{ image: { name: '' } }, undefined],
    [{ image: 'debian' }, undefined],
    [{ image: { name: 'a' } }, 'a'],
  ])('the image of %j is %s', (parts, image) => {
    expect(parseResponse(JSON.stringify({ ...minimal, ...parts }), source).image).toBe(image);
  });
});

describe('a response that is not usable', () => {
  it.each([
    ['', 'is not JSON'],
    ['{"token":"secret"', 'is not JSON'],
    ['[]', 'is not a JSON object'],
    ['null', 'is not a JSON object'],
    ['{}', 'lacks "id"'],
    ['{"id":1}', 'lacks "job_info.project_id"'],
    ['{"id":1,"job_info":null}', 'lacks "job_info.project_id"'],
    ['{"id":-1}', 'has no number in "id"'],
    ['{"id":1.5}', 'has no number in "id"'],
    ['{"id":true}', 'has no number in "id"'],
    ['{"id":"007"}', 'has no number in "id"'],
    ['{"id":12345678901234567890}', 'has no number in "id"'],
    ['{"id":1e30}', 'has no number in "id"'],
  ])('%s', (text, problem) => {
    const parse = (): unknown => parseResponse(text, source);
    expect(parse).toThrow(HostError);
    expect(parse).toThrow(
      expect.objectContaining({
        message: `Job response file "/tmp/response.json" ${problem}.`,
        details: ['It was written by GitLab Runner 17.9.0.'],
        hint: 'Use GitLab Runner 14.1 or newer; if it is, report this together with the version.',
      }),
    );
    expect(parse).not.toThrow(expect.objectContaining({ cause: expect.anything() as unknown }));
  });
});

describe('quoteLongIntegers', () => {
  it.each([
    ['[123456789012345]', '[123456789012345]'],
    ['[1234567890123456,-1234567890123456]', '["1234567890123456","-1234567890123456"]'],
    ['[1234567890123456.5, 1.234567890123456789e10]', undefined],
    ['{"1234567890123456":"1234567890123456"}', undefined],
    [
      '["\\"1234567890123456", "\\\\", 1234567890123456]',
      '["\\"1234567890123456", "\\\\", "1234567890123456"]',
    ],
    ['"unterminated 1234567890123456', undefined],
  ])('%s', (text, quoted) => {
    expect(quoteLongIntegers(text)).toBe(quoted ?? text);
  });

  it('takes a string of many megabytes', () => {
    const text = JSON.stringify({ ...minimal, variables: ['\\"'.repeat(4_000_000)] });
    expect(parseResponse(text, source).id).toBe('1');
  });
});

it('keeps what JSON says, and fails with HostError alone', () => {
  const { below, pick, text } = fuzz('response');
  const make = (depth: number): unknown => {
    const kind = below(depth > 3 ? 5 : 7);
    if (kind === 0) return below(2 ** 31) * pick([1, -1, 0.5, 2 ** 21]);
    if (kind === 1) return pick([null, true, false]);
    if (kind <= 4) return text(below(30), '"\\/{}[]:,0123456789é\n\u0000😀');
    const size = below(4);
    if (kind === 5) return Array.from({ length: size }, () => make(depth + 1));
    const keys = ['id', 'job_info', 'project_id', 'image', 'name', 'artifacts', 'cache', '\\"1'];
    return Object.fromEntries(Array.from({ length: size }, () => [pick(keys), make(depth + 1)]));
  };
  for (let run = 0; run < 3000; run += 1) {
    const value = make(0);
    const json = JSON.stringify(value, undefined, below(2));
    const asNumbers: unknown = JSON.parse(quoteLongIntegers(json), (_, part: unknown) =>
      typeof part === 'string' && /^-?\d{16,}$/.test(part) ? Number(part) : part,
    );
    const expected: unknown = JSON.parse(json, (_, part: unknown) =>
      typeof part === 'string' && /^-?\d{16,}$/.test(part) ? Number(part) : part,
    );
    expect(asNumbers).toEqual(expected);
    const cut = below(3) === 0 ? json.slice(0, below(json.length)) : json;
    try {
      expect(parseResponse(cut, source).id).toMatch(/^\d{1,19}$/);
    } catch (error) {
      if (!(error instanceof HostError)) throw new Error(cut, { cause: error });
    }
  }
});
