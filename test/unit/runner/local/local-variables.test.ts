import { describe, expect, it } from 'vitest';
import { globPattern, unmatched } from '../../../../src/runner/local/artifact-paths.ts';
import { localResponse } from '../../../../src/runner/local/local-response.ts';
import {
  expandText,
  nestVariables,
  parseVariable,
} from '../../../../src/runner/local/local-variables.ts';
import {
  predefinedVariables,
  projectPath,
  slug,
  type Repository,
} from '../../../../src/runner/local/repository.ts';
import { resolveVariables } from '../../../../src/runner/variables.ts';

const REPOSITORY: Repository = {
  ...{ top: '/src/app', isGit: true, sha: 'a'.repeat(40), ref: 'feat/X', isTag: false },
  ...{ defaultBranch: 'main', projectPath: 'group/app', projectId: 7 },
  commit: { message: 'Title $HOME\n\nBody', author: 'A <a@b>', timestamp: '2026-01-01T00:00:00Z' },
};
const plain = (values: Readonly<Record<string, string>>) =>
  Object.entries(values).map(([key, value]) => ({ key, value, raw: false }));

/** As the job's script sees it: through GitLab's part here and the runner's part in the engine. */
function seen(variables: Parameters<typeof localResponse>[0]['variables'], key: string): string {
  const response = localResponse({
    id: 5n,
    job: {
      ...{ name: 'job', stage: 'test', image: '$IMAGE:12', script: [], afterScript: [] },
      ...{ variables: [], artifacts: undefined, caches: [], timeoutSec: undefined, ignored: [] },
    },
    ...{ repository: REPOSITORY, ciFile: '.gitlab-ci.yml', variables },
  });
  const resolved = resolveVariables({
    response,
    runner: {
      ...{ version: '1', shortToken: '', concurrentId: 0, concurrentProjectId: 0 },
      environment: [],
    },
    directories: { builds: '/b', cache: '/c', project: '/b/p' },
    status: 'running',
  });
  return resolved.get(key)?.value ?? '';
}

describe('variables of a local job', () => {
  it.each<[string, Parameters<typeof seen>[0], string]>([
    ['reach into each other', plain({ A: '$B', B: '${C}', C: 'c' }), 'c'],
    ["take the runner's own", plain({ A: '$B', B: '$CI_PROJECT_DIR' }), '/b/p'],
    ['take what git says', plain({ A: '$CI_COMMIT_REF_SLUG' }), 'feat-x'],
    [
      'keep what is raw',
      [...plain({ A: '<$B>' }), { key: 'B', value: '$C $$', raw: true }],
      '<$C $$>',
    ],
    ['keep a commit message', plain({ A: '$CI_COMMIT_TITLE' }), 'Title $HOME'],
    ['make one dollar of two', plain({ A: '$$B', B: 'b' }), '$B'],
    ['make nothing of what is not there', plain({ A: '<$NONE>' }), '<>'],
    ['may not contain themselves', plain({ A: 'x$A' }), 'x'],
    ['have the last of one name', [...plain({ A: '1' }), ...plain({ A: '2' })], '2'],
  ])('%s', (_name, variables, expected) => {
    expect(seen(variables, 'A')).toBe(expected);
  });

  it('go into the name of the image', () => {
    const variables = nestVariables(plain({ IMAGE: '$BASE', BASE: 'debian' }));
    expect(expandText('$IMAGE:12', variables)).toBe('debian:12');
  });

  it.each([
    ['A=b=c', { key: 'A', value: 'b=c', raw: true }],
    ['A=', { key: 'A', value: '', raw: true }],
    ['A=x\ny', { key: 'A', value: 'x\ny', raw: true }],
    ['A', undefined],
    ['1A=b', undefined],
    ['=b', undefined],
  ])('are read from the command line: %j', (text, expected) => {
    expect(parseVariable(text)).toEqual(expected);
  });
});

describe('what git says', () => {
  it('is the branch or the tag', () => {
    const facts = { id: '5', name: 'Unit: A', stage: 'test', ciFile: '.gitlab-ci.yml' };
    const values = (isTag: boolean) =>
      Object.fromEntries(
        predefinedVariables({ ...REPOSITORY, isTag }, facts).map(({ key, value }) => [key, value]),
      );
    expect(values(false)).toMatchObject({
      CI_JOB_ID: '5',
      CI_JOB_NAME_SLUG: 'unit--a',
      CI_PROJECT_NAME: 'app',
      CI_PROJECT_NAMESPACE: 'group',
      CI_COMMIT_BRANCH: 'feat/X',
      CI_COMMIT_SHORT_SHA: 'aaaaaaaa',
    });
    expect(values(true)).toMatchObject({ CI_COMMIT_TAG: 'feat/X' });
    expect(values(true)).not.toHaveProperty('CI_COMMIT_BRANCH');
  });

  it.each([
    ['https://gitlab.example.com/group/sub/app.git', 'group/sub/app'],
    ['git@gitlab.example.com:group/app.git', 'group/app'],
    ['ssh://git@h:22/group/app', 'group/app'],
    ['/srv/app.git', 'local/my-app'],
    ['https://h/../../etc', 'local/my-app'],
    [undefined, 'local/my-app'],
  ])('names the project of %s', (remote, expected) => {
    expect(projectPath(remote, '/src/my app')).toBe(expected);
  });

  it('makes slugs', () => {
    expect(slug(`Feature/Ä_1${'x'.repeat(80)}`)).toBe(`feature---1${'x'.repeat(52)}`);
    expect(slug('-a-')).toBe('a');
  });
});

describe('artifact patterns', () => {
  it.each([
    ['out/*.txt', 'out/a.txt', true],
    ['out/*.txt', 'out/b/a.txt', false],
    ['out/**/*.txt', 'out/a.txt', true],
    ['out/**/*.txt', 'out/b/c/a.txt', true],
    ['**/*.log', 'a.log', true],
    ['a?c', 'abc', true],
    ['a?c', 'a/c', false],
    ['[!ab].c', 'c.c', true],
    ['[!ab].c', 'a.c', false],
    ['{x,y*}.c', 'yz.c', true],
    ['a.b+(c)', 'a.b+(c)', true],
    ['a.b', 'aXb', false],
    ['[', '[', true],
  ])('%s and %s: %s', (glob, name, expected) => {
    expect(new RegExp(`^${globPattern(glob)}$`).test(name)).toBe(expected);
  });

  it('are told when nothing matches; a directory matches what is below it', () => {
    expect(unmatched(['out', 'none', '.'], ['out/a/b'])).toEqual(['none']);
  });
});
