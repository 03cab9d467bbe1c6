import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

const src = join(import.meta.dirname, '../../src');

/** Which folders a file of a folder may import from, besides its own; the root is "". */
const allowed: Readonly<Record<string, readonly string[]>> = {
  '': ['', 'commands', 'gitlab'],
  commands: [
    '',
    'gitlab',
    'machine',
    'chroot',
    'reaper',
    'upkeep',
    'runner',
    'host',
    'vm',
    'tools',
  ],
  machine: ['', 'vm', 'tools'],
  vm: ['', 'tools'],
  chroot: ['', 'tools'],
  upkeep: ['', 'machine', 'chroot', 'tools'],
  reaper: ['', 'machine', 'chroot', 'vm', 'tools'],
  runner: ['', 'tools'],
  host: ['', 'tools'],
  gitlab: [''],
  tools: ['', 'tools'],
};
/** Files of the root that folders may import. */
const leaves = [
  'errors',
  'log',
  'paths',
  'settings',
  'schema-kinds',
  'limits-schema',
  'yaml',
  'sizes',
  'file-problems',
  'render-error',
  'quote-command',
  'process-identity',
  'runner-process',
  'end-processes',
  'marks',
  'own-file',
  'root',
  'stage-state',
];

const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) =>
  /(?<!\.d)\.ts$/.test(file),
);

function importsOf(file: string): { target: string; typeOnly: boolean }[] {
  const text = readFileSync(join(src, file), 'utf8');
  const statements = text.matchAll(
    /(?:import|export)\s+(type\s)?[^'";]*?from\s+'(\.[^']+)'|import\('(\.[^']+)'\)/g,
  );
  return [...statements].map(([, type, from, lazy]) => ({
    target: relative(src, join(src, dirname(file), from ?? lazy ?? '')),
    typeOnly: type !== undefined,
  }));
}

const folderOf = (file: string): string => (file.includes('/') ? (file.split('/')[0] ?? '') : '');

describe('imports point one way', () => {
  it.each(files)('%s', (file) => {
    const folder = folderOf(file);
    for (const { target, typeOnly } of importsOf(file)) {
      const targetFolder = folderOf(target);
      if (targetFolder === folder && folder !== 'commands' && folder !== '') continue;
      // The arguments' type is declared beside the options it mirrors.
      if (folder === 'commands' && target === 'cli.ts' && typeOnly) continue;
      expect(allowed[folder], `${file} imports ${target}`).toContain(targetFolder);
      if (targetFolder === '' && folder !== '') {
        expect(leaves, `${file} imports ${target}`).toContain(target.replace(/\.ts$/, ''));
      }
      expect(folder === 'commands' && targetFolder === 'commands', `${file} → ${target}`).toBe(
        false,
      );
    }
  });

  it('has no cycle', () => {
    const graph = new Map(
      files.map((f) => [
        f,
        importsOf(f)
          .filter((i) => !i.typeOnly)
          .map((i) => i.target),
      ]),
    );
    const done = new Set<string>();
    const visit = (file: string, trail: readonly string[]): void => {
      expect(trail, [...trail, file].join(' → ')).not.toContain(file);
      if (done.has(file)) return;
      for (const next of graph.get(file) ?? []) visit(next, [...trail, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
  });

  it('has no file of more than 300 lines and none named for nothing', () => {
    for (const file of files) {
      expect(readFileSync(join(src, file), 'utf8').split('\n').length, file).toBeLessThanOrEqual(
        301,
      );
      expect(file).not.toMatch(/(^|\/)(utils?|helpers?|common|misc|index)(\/|\.ts$)/);
    }
  });
});
