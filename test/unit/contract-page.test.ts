import { readFileSync, readdirSync } from 'node:fs';
import { expect, it } from 'vitest';

const page = readFileSync('docs/contract.md', 'utf8');
const tests = readdirSync('test/host').filter((name) => name.endsWith('.test.ts'));
const rows = [...page.matchAll(/^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$/gm)].map(
  ([, title = '', test = '']) => ({ title, test }),
);

it('has a row for each of the 26 cases', () => {
  const numbers = rows.flatMap(({ title }) => /^[\d, ]+/.exec(title)?.[0].match(/\d+/g) ?? []);
  expect(numbers.map(Number)).toEqual(Array.from({ length: 26 }, (_, index) => index + 1));
});

it('names tests that are there', () => {
  const named = rows.filter(({ test }) => !/^(?:Test|---|–)$/.test(test));
  const missing = named.flatMap(({ test }) =>
    test
      .split(', ')
      .map((name) => (name.startsWith('`') ? name.replaceAll('`', '') : `contract-${name}`))
      .filter((name) => !tests.includes(`${name}.test.ts`)),
  );
  expect(missing).toEqual([]);
  expect(named.length).toBeGreaterThan(50);
});

it('names every test of the contract', () => {
  for (const name of tests.filter((test) => test.startsWith('contract-'))) {
    const noun = name.replace(/^contract-|\.test\.ts$/g, '');
    expect(
      rows.some(({ test }) => test.split(', ').includes(noun)),
      name,
    ).toBe(true);
  }
});
