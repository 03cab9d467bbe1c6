import { describe, expect, it } from 'vitest';
import { Failure } from '../../../../src/errors.ts';
import { parseCiFile } from '../../../../src/runner/local/ci-file.ts';
import { readLocalJob, type LocalJob } from '../../../../src/runner/local/local-job.ts';
import { humanDurationSec } from '../../../../src/runner/local/human-duration.ts';

const read = (text: string, name = 'job'): LocalJob =>
  readLocalJob(parseCiFile(text, '.gitlab-ci.yml'), name);

function failureOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof Failure) {
      return [error.message, ...error.details, error.hint].join('\n');
    }
    throw error;
  }
  return 'no failure';
}

describe('a job', () => {
  it('takes scripts as text, lists and lists of lists', () => {
    const job = read(`
job:
  before_script: one
  script: [two, [three, [four]]]
  after_script:
    - |
      five
      six
`);
    expect(job.script).toEqual(['one', 'two', 'three', 'four']);
    expect(job.afterScript).toEqual(['five\nsix\n']);
  });

  it('takes anchors, merge keys and references', () => {
    const job = read(`
.a: &a { image: debian-12, variables: { A: anchor } }
.lib:
  setup: [prepare, !reference [.more, script]]
  variables: { FROM: lib }
.more: { script: [more] }
job:
  <<: *a
  script: [!reference [.lib, setup], own]
  variables:
    WHERE: !reference [.lib, variables, FROM]
`);
    expect(job).toMatchObject({ image: 'debian-12', script: ['prepare', 'more', 'own'] });
    expect(job.variables).toEqual([{ key: 'WHERE', value: 'lib', raw: false }]);
  });

  it('extends others: maps are merged, lists are not, the nearest wins', () => {
    const job = read(`
.top: { script: [top], variables: { A: 1, B: 1 }, image: debian-12 }
.mid: { extends: .top, script: [mid], variables: { B: 2 } }
.other: { variables: { C: 3 } }
job: { extends: [.mid, .other], variables: { D: 4.5 } }
`);
    expect(job).toMatchObject({ script: ['mid'], image: 'debian-12' });
    expect(job.variables.map(({ key, value }) => `${key}=${value}`)).toEqual([
      ...['A=1', 'B=2', 'C=3', 'D=4.5'],
    ]);
  });

  it.each([
    ['default', 'default: { image: a, before_script: [b] }\njob: { script: c }', 'a', 'b c'],
    ['the top level', 'image: a\nbefore_script: [b]\njob: { script: c }', 'a', 'b c'],
    ['default over the top level', 'image: x\ndefault: { image: a }\njob: { script: c }', 'a', 'c'],
    ['nothing where the job says', 'image: x\njob: { image: { name: a }, script: c }', 'a', 'c'],
    ['what extends gives', 'image: x\n.b: { image: a }\njob: { extends: .b, script: c }', 'a', 'c'],
    [
      'what it inherits',
      'default: { image: a, before_script: b }\njob: { script: c, inherit: { default: [image] } }',
      'a',
      'c',
    ],
    [
      'nothing if it inherits nothing',
      'image: x\njob: { script: c, inherit: { default: false } }',
      undefined,
      'c',
    ],
  ])('takes defaults from %s', (_name, text, image, script) => {
    const job = read(text);
    expect([job.image, job.script.join(' ')]).toEqual([image, script]);
  });

  it('takes global variables, those it inherits, and expand: false', () => {
    const text = `
variables:
  A: { value: a, description: d, options: [a, b] }
  B: b
job:
  script: x
  variables: { C: { value: $A, expand: false } }
`;
    expect(read(text).variables).toEqual([
      { key: 'A', value: 'a', raw: false },
      { key: 'B', value: 'b', raw: false },
      { key: 'C', value: '$A', raw: true },
    ]);
    const inherit = (given: string): string[] =>
      read(`${text}  inherit: { variables: ${given} }\n`).variables.map(({ key }) => key);
    expect([inherit('[B]'), inherit('false')]).toEqual([['B', 'C'], ['C']]);
  });

  it('takes artifacts, caches and the timeout', () => {
    const job = read(`
job:
  script: x
  timeout: 1h 30m
  artifacts: { paths: [a/], exclude: [a/b], when: always, reports: { junit: j.xml } }
  cache: [{ key: k, paths: [c], policy: pull }, { paths: [d] }]
`);
    expect(job.timeoutSec).toBe(5400);
    expect(job.artifacts).toEqual({
      paths: ['a/'],
      exclude: ['a/b'],
      untracked: false,
      when: 'always',
    });
    expect(job.caches.map(({ key, policy }) => `${String(key)} ${String(policy)}`)).toEqual([
      ...['k pull', 'default pull-push'],
    ]);
  });

  it('names what has no effect, one line each', () => {
    const job = read(`
include: other.yml
workflow: { rules: [] }
job:
  image: { name: a, entrypoint: [/e] }
  script: x
  services: [db]
  rules: [{ if: $A }]
  parallel: 3
  tags: [t]
  retry: 2
  afterscript: y
  artifacts: { reports: { junit: j.xml } }
`);
    expect(job.ignored).toEqual([
      'include: other files are not read, and their jobs are not known here',
      'workflow: not evaluated: the job runs because you named it',
      'services: no service is started',
      'rules: not evaluated: the job runs because you named it',
      'parallel: the job runs once',
      'artifacts:reports: not copied; add the files to artifacts:paths',
      'image:entrypoint: a machine has an init of its own',
      'afterscript: not known; did you mean "after_script"?',
    ]);
  });
});

describe('what is wrong', () => {
  it('is told all at once, with file, line and key', () => {
    const text = `job:
  script:
    - echo: hi
    - 5
  timeout: soon
  image: [a]
  extends: [.none, job]
  variables: { a-b: 1, C: [1] }
  artifacts: { paths: [1], when: never }
  cache: { key: { files: [a] }, policy: read }
`;
    expect(failureOf(() => read(text))).toBe(
      [
        '.gitlab-ci.yml has 12 problems.',
        '.gitlab-ci.yml line 3, job.script[0]: expected a command or a list of them, got a map; put the command in quotes.',
        '.gitlab-ci.yml line 4, job.script[1]: expected a command or a list of them, got "5".',
        '.gitlab-ci.yml line 5, job.timeout: expected a time such as 1h 30m, got "soon".',
        '.gitlab-ci.yml line 6, job.image: expected text.',
        '.gitlab-ci.yml line 7, job.extends: there is no job ".none" in this file.',
        '.gitlab-ci.yml line 7, job.extends: "job" goes in a circle or more than 10 levels deep.',
        '.gitlab-ci.yml line 8, job.variables.a-b: expected a name of letters, digits and "_".',
        '.gitlab-ci.yml line 8, job.variables.C: expected text or a number.',
        '.gitlab-ci.yml line 9, job.artifacts.paths: expected a list of texts.',
        '.gitlab-ci.yml line 9, job.artifacts.when: expected one of on_success, on_failure, always.',
        '.gitlab-ci.yml line 10, job.cache.key: exec takes text for a key, not files.',
        '.gitlab-ci.yml line 10, job.cache.policy: expected one of pull, push, pull-push.',
        'Correct the file; https://docs.gitlab.com/ci/yaml/ describes every keyword.',
      ].join('\n'),
    );
  });

  it.each([
    [
      '.a: { script: x }',
      '.a',
      'Job ".a" of .gitlab-ci.yml is hidden: GitLab never runs it either.',
    ],
    [
      'build: { script: x }',
      'buid',
      'There is no job "buid" in .gitlab-ci.yml.\nJobs there: build.\nDid you mean "build"?',
    ],
    ['stages: [a]\nbuild: { script: x }', 'stages', 'There is no job "stages" in .gitlab-ci.yml.'],
    ['- a', 'job', '.gitlab-ci.yml holds no jobs.'],
    [
      'job: { trigger: x }',
      'job',
      '.gitlab-ci.yml line 1, job: expected "script", got a job that triggers a pipeline.',
    ],
    [
      'job: { run: [] }',
      'job',
      '.gitlab-ci.yml line 1, job: expected "script", got a job with "run".',
    ],
    [
      'job: { tags: [] }',
      'job',
      '.gitlab-ci.yml line 1, job: expected "script", got a job without one.',
    ],
    [
      'job: { script: [!reference [.x, y]] }',
      'job',
      '.gitlab-ci.yml line 1, job.script[0]: !reference [.x, y] names nothing in this file.',
    ],
    ['job: { script: [!reference [job, script]] }', 'job', 'goes in a circle'],
    [
      'job: { extends: .b, script: x }\n.b: { extends: job }',
      'job',
      '"job" goes in a circle or more than 10 levels deep',
    ],
    [
      'spec:\n  inputs: {}\n---\njob: { script: x }',
      'job',
      '.gitlab-ci.yml has a "spec:" header, and exec knows no inputs.',
    ],
    ['job: {', 'job', '.gitlab-ci.yml line 2, column 1'],
  ])('%s', (text, name, expected) => {
    expect(failureOf(() => read(text, name))).toContain(expected);
  });
});

describe('humanDurationSec', () => {
  it.each([
    ['90 minutes', 5400],
    ['3 hours 30 minutes', 12_600],
    ['1h30m', 5400],
    ['1 day and 2 hours', 93_600],
    ['45', undefined],
    ['soon', undefined],
    ['', undefined],
  ])('%s', (text, sec) => {
    expect(humanDurationSec(text)).toBe(sec);
  });
});
