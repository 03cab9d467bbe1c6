import { mkdtempSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { inspectRecord } from '../../../src/machine/record.ts';

const dir = mkdtempSync(join(tmpdir(), 'record-state-'));
afterAll(() => rmSync(dir, { recursive: true }));

const path = (name: string): string => join(dir, name);

it.each<[string, string, (at: string) => unknown]>([
  ['nothing', 'none', () => undefined],
  ['a torn record', 'unusable', (at) => writeFileSync(at, '{')],
  ['a link', 'unusable', (at) => symlinkSync('/etc/passwd', at)],
  ['a link that leads nowhere', 'unusable', (at) => symlinkSync('/nonexistent', at)],
  ['a directory', 'unusable', (at) => mkdirSync(at)],
  ['a record of a later format', 'newer', (at) => writeFileSync(at, '{"format":2}')],
])('%s is %s', (what, state, make) => {
  make(path(what));
  expect(inspectRecord(path(what)).state).toBe(state);
});

it('what the kernel does not open for another reason says nothing of the record', () => {
  expect(inspectRecord(path('x'.repeat(300))).state).toBe('unreadable');
});

it('a file in place of the directory has no record that can be used', () => {
  writeFileSync(path('file'), '');
  expect(inspectRecord(join(path('file'), 'record.json')).state).toBe('unusable');
});
