import { describe, expect, it } from 'vitest';
import { driverEnvironment } from '../../../src/runner/driver-environment.ts';
import { jobDirectories, parseDriverConfig } from '../../../src/runner/driver-config.ts';
import { encodeResponse } from '../../../src/runner/job.ts';
import { expand, resolveVariables } from '../../../src/runner/variables.ts';
import { responseOf, type VariableValue } from '../../runner-emulator.ts';

const directories = { builds: '/b', cache: '/c/g/p', project: '/b/g/p' };
const resolve = (given: Readonly<Record<string, VariableValue>>) =>
  resolveVariables({
    response: responseOf({ variables: given, image: 'debian-12' }),
    runner: {
      ...{ version: '1', shortToken: 'abc', concurrentId: 0, concurrentProjectId: 2 },
      environment: [{ key: 'FROM_TOML', value: 'x' }],
    },
    directories,
    status: 'running',
  });

describe('expand', () => {
  it.each([
    ['$A-${A}', '1-1'],
    ['$$A', '$A'],
    ['$UNKNOWN.', '.'],
    ['${A', '${A'],
    ['$1 $# $', '  $'],
    ['A$', 'A$'],
  ])('%s', (text, expected) => {
    expect(expand(text, (name) => (name === 'A' ? '1' : undefined))).toBe(expected);
  });
});

describe('resolveVariables', () => {
  it.each<[string, Readonly<Record<string, VariableValue>>, string, string]>([
    ['one pass, not more', { A: '$B', B: '$C', C: 'c' }, 'A', '$C'],
    ['raw', { A: { value: '$B $$', raw: true }, B: 'b' }, 'A', '$B $$'],
    ["the runner's own", { A: '$CI_PROJECT_DIR' }, 'A', '/b/g/p'],
    ["the job's word over the runner's", { CI_PROJECT_DIR: '/evil' }, 'CI_PROJECT_DIR', '/evil'],
    ['a file', { F: { value: 'text', file: true } }, 'F', '/b/g/p.tmp/F'],
    ['a reference to a file', { F: { value: 't', file: true }, A: '<$F>' }, 'A', '</b/g/p.tmp/F>'],
    ['config.toml', {}, 'FROM_TOML', 'x'],
    ['the image', {}, 'CI_JOB_IMAGE', 'debian-12'],
  ])('%s', (_name, given, key, expected) => {
    expect(resolve(given).get(key)?.value).toBe(expected);
  });
});

describe('driverEnvironment', () => {
  it('names services in JSON, the first alias alone, null for what is unset', () => {
    const response = responseOf({
      response: {
        services: [
          { name: 'db:1', alias: 'db,sql' },
          { name: 'c', entrypoint: ['/e'], variables: [{ key: 'K', value: 'v' }] },
        ],
      },
    });
    const env = driverEnvironment({
      ...{ host: {}, tempDir: '/t', hasResponseFile: true, jobEnv: {} },
      variables: new Map(),
      response,
    });
    expect(JSON.parse(env['CUSTOM_ENV_CI_JOB_SERVICES'] ?? '')).toEqual([
      { name: 'db:1', alias: 'db', entrypoint: null, command: null },
      { name: 'c', alias: '', entrypoint: ['/e'], command: null, variables: { K: 'v' } },
    ]);
  });
});

describe('the config stage', () => {
  it('may print nothing, null fields and keys that nobody knows', () => {
    expect(parseDriverConfig('')).toEqual({});
    expect(parseDriverConfig('{"shell":null,"hostname":"h","new":1}')).toEqual({ hostname: 'h' });
  });

  it.each([
    ['a host', 'https://u:p@gitlab.example.com/group/sub/project.git', false, 'group/sub/project'],
    ['a path', '/srv/repo.git', false, 'project-1'],
    ['builds that are shared', 'https://h/g/p.git', true, 'tok/3/g/p'],
  ])('puts the project of %s where the Runner does', (_name, url, shared, path) => {
    const { git_info: git } = responseOf({});
    const found = jobDirectories({
      config: { builds_dir: '/b', cache_dir: '/c', builds_dir_is_shared: shared },
      ...{ buildsDir: undefined, cacheDir: undefined, shortToken: 'tok', concurrentProjectId: 3 },
      response: responseOf({ response: { git_info: { ...git, repo_url: url } } }),
    });
    expect(found).toMatchObject({ project: `/b/${path}` });
  });
});

describe('encodeResponse', () => {
  it('keeps all digits of an id, and text that looks like one', () => {
    const text = encodeResponse(responseOf({ id: 9223372036854775807n, script: ['"5"'] }));
    expect(text).toMatch(/^\{"id":9223372036854775807,/);
    expect(JSON.parse(text)).toHaveProperty('steps.0.script.0', '"5"');
  });
});
