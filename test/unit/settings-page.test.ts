import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { toJSONSchema } from 'zod/mini';
import { SettingsFile, settingsKeysAt } from '../../src/settings-schema.ts';

interface Node {
  readonly properties?: Readonly<Record<string, Node>>;
  readonly default?: unknown;
}

const page = readFileSync('docs/settings.md', 'utf8');
const rows = new Map(
  [...page.matchAll(/^\| `([a-z_.]+)` \| (.+?) \| .+ \|$/gm)].map(([, key = '', text = '']) => [
    key,
    text,
  ]),
);
const schema = toJSONSchema(SettingsFile, { io: 'input' }) as Node;

function leaves(node: Node, prefix = ''): [string, Node][] {
  return Object.entries(node.properties ?? {}).flatMap(([key, child]) =>
    child.properties === undefined
      ? [[`${prefix}${key}`, child] as [string, Node]]
      : leaves(child, `${prefix}${key}.`),
  );
}

describe('docs/settings.md', () => {
  it.each(leaves(schema))('has %s with its default', (key, node) => {
    const written = node.default;
    if (written === undefined) {
      if (key !== 'recipe_dirs') expect(rows.get(key)).toMatch(/^none/);
      return;
    }
    const text = typeof written === 'string' ? written : JSON.stringify(written);
    expect(rows.get(key)).toBe(`\`${text}\``);
  });

  it('has no key that is none', () => {
    const known = settingsKeysAt([]).filter((key) => key !== 'limits');
    expect([...rows.keys()].filter((key) => !known.includes(key))).toEqual([]);
  });
});
