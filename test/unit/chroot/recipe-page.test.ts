import Ajv from 'ajv';
import { YAMLException, load } from 'js-yaml';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { toJSONSchema } from 'zod/mini';
import { parseRecipe } from '../../../src/chroot/recipe.ts';
import { RecipeFile, recipeKeysAt } from '../../../src/chroot/recipe-schema.ts';

const root = join(import.meta.dirname, '../../..');
const page = readFileSync(join(root, 'docs/recipes.md'), 'utf8');
const examples = [...page.matchAll(/```yaml\n(.*?)```/gs)].map(([, text]) => text ?? '');
const bad = join(root, 'test/fixtures/bad-recipes');
const shipped = join(root, 'rootfs-recipes');
const textsIn = (dir: string): (readonly [string, string])[] =>
  readdirSync(dir)
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => [file, readFileSync(join(dir, file), 'utf8')] as const);

/** Bad recipes in which each value is good by itself, as far as a pattern can tell. */
const FOR_THE_PROGRAM = [
  'boot-timeout-too-long',
  'enable-what-is-masked',
  'environment-name',
  'extends-itself',
  'extra-sources-one-line',
  'extra-sources-without-suites',
  'file-content-and-source',
  'file-twice',
  'file-without-content',
  'keyring-without-signature',
  'memory-of-zero',
  'nesting-in-the-host-network',
  'playbook-variables-alone',
  'repository-twice',
  'repository-without-key',
  'repository-without-place',
  'signature-without-keyring',
  'update-refresh-without-packages',
  'url-without-checksum',
];

/** As a reader writes them; those of `ubuntu` are those of `debian`. */
function everyKey(): readonly string[] {
  const inLists = [['files', 0] as const, ['fedora', 'repositories', 0] as const].flatMap((place) =>
    recipeKeysAt(place).map((key) => `${place.join('.').replace('.0', '[]')}.${key}`),
  );
  const maps = ['debian', 'ubuntu', 'fedora', 'tar', 'oci'];
  return [...recipeKeysAt([]), ...inLists].filter(
    (key) => !maps.includes(key) && !key.startsWith('ubuntu.'),
  );
}

describe('docs/recipes.md', () => {
  it('explains every key once', () => {
    const keys = page.slice(page.indexOf('\n## Keys\n'));
    const explained = [...keys.matchAll(/^\| `([\w.[\]]+)` \| .* \|$/gm)]
      .map(([, key = '']) => key)
      .filter((key) => !/\.(?:timer|service)$/.test(key));
    expect([...explained].sort()).toEqual([...everyKey()].sort());
  });

  it('has a section for every source', () => {
    for (const source of ['debian and ubuntu', 'fedora', 'tar', 'oci', 'extends']) {
      expect(page).toContain(`\n### ${source}\n`);
    }
  });

  it.each(examples.map((text) => [text.split('\n').slice(0, 2).join(' '), text]))(
    'has a good example: %s',
    (_, text) => {
      expect(() => parseRecipe('example', '/etc/example.yaml', text)).not.toThrow();
    },
  );

  it('shows messages as they are', () => {
    const shown = /has 2 problems\.\n(.*?)\n\n/s.exec(page)?.[1]?.trim().split(/\n\s*/) ?? [];
    const text = `debian:\n  suite: sid\n\npakages: []\nfiles:\n  - path: /a\n    content: x\n\n    mode: 0644\n`;
    const read = (): unknown => parseRecipe('web', '/etc/nspawn-runner/recipes/web.yaml', text);
    expect(read).toThrow(expect.objectContaining({ details: shown }));
  });
});

describe('the schema for editors', () => {
  const { $schema, ...schema } = toJSONSchema(RecipeFile, { io: 'input', target: 'draft-7' });
  const validate = new Ajv({ allErrors: true, schemaId: 'auto' }).compile(schema);
  const isGood = (text: string): boolean => validate(load(text) ?? {}) === true;

  it('is of a kind that editors know', () => {
    expect($schema).toBe('http://json-schema.org/draft-07/schema#');
  });

  it.each(textsIn(shipped))('takes %s', (_, text) => {
    expect(isGood(text), JSON.stringify(validate.errors)).toBe(true);
  });

  it.each(examples.map((text, index) => [`${index + 1}`, text] as const))(
    'takes example %s',
    (_, text) => {
      expect(isGood(text), JSON.stringify(validate.errors)).toBe(true);
    },
  );

  it('refuses what the program refuses, but for what stands between keys', () => {
    const taken = textsIn(bad).flatMap(([file, text]) => {
      try {
        return isGood(text) ? [file.replace('.yaml', '')] : [];
      } catch (error) {
        if (error instanceof YAMLException) return [];
        throw error;
      }
    });
    expect(taken.sort()).toEqual(FOR_THE_PROGRAM);
  });
});
