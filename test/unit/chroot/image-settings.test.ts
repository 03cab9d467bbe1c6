import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  imageSettingsFile,
  mergeImageSettings,
  readImageSettings,
  type ImageSettings,
} from '../../../src/chroot/image-settings.ts';
import { parseRecipe } from '../../../src/chroot/recipe.ts';
import { HostError } from '../../../src/errors.ts';

const settings = (machine: string): ImageSettings =>
  parseRecipe('r', 'r.yaml', `extends: x\nmachine: {${machine}}`).machine;
const merged = (parent: string, own: string): unknown => {
  const all = mergeImageSettings(settings(parent), settings(own));
  // As it is written beside the tree.
  return JSON.parse(JSON.stringify(all)) as unknown;
};

describe('settings of a chroot that extends another', () => {
  const none = { format: 1, limits: {}, binds: [], nspawnOptions: [] };
  it.each<[string, string, Readonly<Record<string, unknown>>]>([
    ['', '', {}],
    ['network: none, profile: nesting', '', { network: 'none', profile: 'nesting' }],
    ['network: none', 'network: host', { network: 'host' }],
    ['', 'user: ci, shell: sh', { user: 'ci', shell: 'sh' }],
    ['suppress_sync: true', 'suppress_sync: false', { suppressSync: false }],
    ['seccomp: false, boot_timeout: 90s', 'seccomp: true', { seccomp: true, bootTimeoutSec: 90 }],
    [
      "binds: ['/a:/a:ro']",
      "binds: ['/b:/b']",
      {
        binds: [
          { source: '/a', target: '/a', readOnly: true },
          { source: '/b', target: '/b', readOnly: false },
        ],
      },
    ],
    [
      'nspawn_options: [--capability=all]',
      'nspawn_options: [--rlimit=RLIMIT_CORE=0]',
      { nspawnOptions: ['--capability=all', '--rlimit=RLIMIT_CORE=0'] },
    ],
    [
      'limits: {memory_max: 4G, tasks_max: 1000}',
      'limits: {memory_max: 8G, cpu_weight: 50}',
      { limits: { memoryMaxBytes: 8 * 1024 ** 3, tasksMax: 1000, cpuWeight: 50 } },
    ],
    [
      'limits: {memory_max: 4G, memory_high: 50%}',
      'limits: {memory_max: 40%, memory_high: 2G}',
      { limits: { memoryMaxPercent: 40, memoryHighBytes: 2 * 1024 ** 3 } },
    ],
    [
      'limits: {cpu_quota: 200%}',
      'limits: {memory_max: 1G}',
      { limits: { cpuQuotaPercent: 200, memoryMaxBytes: 1024 ** 3 } },
    ],
  ])('{%s} and {%s}', (parent, own, expected) => {
    expect(merged(parent, own)).toEqual({ ...none, ...expected });
  });

  it('add up over three', () => {
    const three = ['memory_max: 1G', 'memory_max: 20%', 'memory_max: 2G']
      .map((limit) => settings(`limits: {${limit}}, nspawn_options: [--x=${limit.slice(12)}]`))
      .reduce((parent, own) => mergeImageSettings(parent, own));
    expect(three.limits).toEqual({ memoryMaxBytes: 2 * 1024 ** 3 });
    expect(three.nspawnOptions).toEqual(['--x=1G', '--x=20%', '--x=2G']);
  });
});

describe('the file beside the tree', () => {
  let version = '';
  let tree = '';
  beforeEach(() => {
    version = mkdtempSync(join(tmpdir(), 'image-settings-'));
    tree = join(version, 'tree');
    mkdirSync(tree);
  });
  afterEach(() => {
    rmSync(version, { recursive: true });
  });

  it('is beside it', () => {
    expect(imageSettingsFile('/s/versions/v/tree')).toBe('/s/versions/v/machine.json');
  });

  it('leaves all to the settings when it is not there', () => {
    expect(readImageSettings(tree)).toEqual({ format: 1 });
  });

  it('gives back what was written', () => {
    const said = settings("network: none, limits: {memory_max: 1G}, binds: ['/a:/b']");
    writeFileSync(imageSettingsFile(tree), JSON.stringify(said));
    expect(readImageSettings(tree)).toEqual(said);
  });

  it.each(['', '{', 'null', '[]', '{}', '{"format": 2}'])('is not guessed from %j', (text) => {
    writeFileSync(imageSettingsFile(tree), text);
    const read = (): ImageSettings => readImageSettings(tree);
    expect(read).toThrow(HostError);
    expect(read).toThrow(`"${join(version, 'machine.json')}" cannot be understood.`);
  });

  it('that cannot be read is no empty one', () => {
    mkdirSync(imageSettingsFile(tree));
    expect(() => readImageSettings(tree)).toThrow(/EISDIR/);
  });
});
