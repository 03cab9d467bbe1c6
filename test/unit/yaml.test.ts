import { describe, expect, it } from 'vitest';
import { SettingsError } from '../../src/errors.ts';
import { REFERENCE, parseYaml, type YamlPath } from '../../src/yaml.ts';

const text = `# a comment
state_dir: /a
limits:
  # another
  memory_max: 4G

  sub: {a: 1, b, c: [1,
    2]}
list:
  - one
  - two
  -
    three: 3
  - [x, y: z]
images:
  "debian:12": debian-12
  ? long key
  : value
empty:
anchor: &it
  deep: 1
alias: *it
12: number
`;

describe('lineOf', () => {
  const { lineOf } = parseYaml(text, 'a.yaml');
  const cases: [YamlPath, number | undefined][] = [
    [[], undefined],
    [['state_dir'], 2],
    [['limits'], 3],
    [['limits', 'memory_max'], 5],
    [['limits', 'sub'], 7],
    [['limits', 'sub', 'a'], 7],
    [['limits', 'sub', 'b'], 7],
    [['limits', 'sub', 'c', 1], 8],
    [['list', 0], 10],
    [['list', 1], 11],
    [['list', 2, 'three'], 13],
    [['list', 3], 14],
    [['images', 'debian:12'], 16],
    [['images', 'long key'], 17],
    [['empty'], 19],
    [['anchor', 'deep'], 21],
    [['alias'], 22],
    [['12'], 23],
    [['absent'], undefined],
    [['state_dir', 'absent'], undefined],
  ];
  it.each(cases)('%j is in line %s', (path, line) => {
    expect(lineOf(path)).toBe(line);
  });
});

describe('the core schema', () => {
  it.each([
    ['2024-01-01', '2024-01-01'],
    ['yes', 'yes'],
    ['0o17', 15],
    ['[~]', [null]],
    ['{<<: {a: 1}}', { '<<': { a: 1 } }],
  ])('%s', (yaml, value) => {
    expect(parseYaml(yaml, 'a.yaml').value).toEqual(value);
  });

  it('takes a file without content', () => {
    expect(parseYaml('# nothing\n', 'a.yaml').value).toBeUndefined();
    expect(parseYaml('', 'a.yaml').value).toBeUndefined();
  });

  it('keeps __proto__ a plain key', () => {
    const value = parseYaml('__proto__: {polluted: 1}', 'a.yaml').value;
    expect(Object.keys(value as object)).toEqual(['__proto__']);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});

describe('syntax errors', () => {
  const hint = 'Correct the YAML there; indentation is spaces, and every key stands once.';
  it.each([
    ['a: 1\nb: 2\na: 3\n', 'a.yaml line 3, column 1: the key "a" stands here again.'],
    ['a: [1\nb: 2\n', 'a.yaml line 2, column 1: missed comma between flow collection entries.'],
    ['a: 1\n---\nb: 2\n', 'a.yaml: expected a single document in the stream, but found more.'],
    [
      'a: !!js/function x',
      'a.yaml line 1, column 19: unknown tag !<tag:yaml.org,2002:js/function>.',
    ],
  ])('%j', (yaml, message) => {
    const parse = (): unknown => parseYaml(yaml, 'a.yaml');
    expect(parse).toThrow(SettingsError);
    expect(parse).toThrow(expect.objectContaining({ message, hint }));
  });
});

describe('the dialect of GitLab CI', () => {
  it('merges, repeats and refers', () => {
    const yaml = `
.base: &base {tags: [a], script: [x]}
job:
  <<: *base
  script: [!reference [.base, script], y]
  stage: one
  stage: two
`;
    const { value, lineOf } = parseYaml(yaml, '.gitlab-ci.yml', { dialect: 'gitlab-ci' });
    expect((value as Record<string, unknown>)['job']).toEqual({
      tags: ['a'],
      script: [{ [REFERENCE]: ['.base', 'script'] }, 'y'],
      stage: 'two',
    });
    expect(lineOf(['job', 'script'])).toBe(5);
  });
});

describe('the dialect of Ansible', () => {
  it('merges, repeats and takes every tag for nothing', () => {
    const yaml = `
- hosts: all
  vars: &vars
    secret: !vault |
      $ANSIBLE_VAULT;1.1;AES256
    raw: !unsafe '{{ not a template }}'
    list: !any [1]
    map: !any/other {a: 1}
- hosts: all
  hosts: localhost
  vars:
    <<: *vars
    raw: again
`;
    const { value, lineOf } = parseYaml(yaml, 'a.yaml', { dialect: 'ansible' });
    const vars = {
      secret: '$ANSIBLE_VAULT;1.1;AES256\n',
      raw: '{{ not a template }}',
      list: [1],
      map: { a: 1 },
    };
    expect(value).toEqual([
      { hosts: 'all', vars },
      { hosts: 'localhost', vars: { ...vars, raw: 'again' } },
    ]);
    expect(lineOf([0, 'vars', 'raw'])).toBe(6);
  });
});
