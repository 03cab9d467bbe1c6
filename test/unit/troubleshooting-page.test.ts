import { readFileSync, readdirSync } from 'node:fs';
import { expect, it } from 'vitest';

const files = readdirSync('src', { recursive: true, encoding: 'utf8' });
const source = files
  .filter((file) => file.endsWith('.ts'))
  .map((file) => readFileSync(`src/${file}`, 'utf8'))
  .join('\n');
const page = readFileSync('docs/troubleshooting.md', 'utf8');
const headings = [...page.matchAll(/^### (.+)$/gm)].map(([, heading]) => heading ?? '');

it('has messages', () => {
  expect(headings.length).toBeGreaterThan(15);
});

it.each(headings)('the program says: %s', (heading) => {
  for (const part of heading.split(' … ').flatMap((words) => words.split('…'))) {
    expect(source).toContain(part);
  }
});
