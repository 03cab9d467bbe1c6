import { execa } from 'execa';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HostError } from '../../../src/errors.ts';
import {
  inspectRecord,
  isProcessIdentity,
  parseRecord,
  readRecord,
  readUsableRecord,
  writeRecord,
  type MachineRecord,
} from '../../../src/machine/record.ts';
import { aRecord, BOOT } from '../reaper/made-up.ts';

const record = aRecord();
const json = JSON.stringify(record);

describe('parseRecord', () => {
  it('takes what was written', () => {
    expect(parseRecord(json, '/r')).toEqual(record);
  });

  it('takes what an older version wrote, which knew less', () => {
    const { creator, runnerProcess, tmpDir, ...old } = record;
    expect([creator, runnerProcess, tmpDir]).not.toContain(undefined);
    expect(parseRecord(JSON.stringify(old), '/r')).toEqual(old);
  });

  it.each([
    ['torn', json.slice(0, 60), 'Record "/r" is torn.'],
    ['empty', '', 'Record "/r" is torn.'],
    ['full of NUL bytes after a loss of power', '\0'.repeat(200), 'Record "/r" is torn.'],
    ['of a later format', JSON.stringify({ ...record, format: 2 }), 'Record "/r" has a format'],
    ['of a later format, with other fields', '{"format":2}', 'Record "/r" has a format'],
    ['of an earlier format', JSON.stringify({ ...record, format: 0 }), 'Record "/r" is not whole.'],
    ['of no format', JSON.stringify({ ...record, format: '1' }), 'Record "/r" is not whole.'],
    ['null', 'null', 'Record "/r" is not whole.'],
    ['a list', `[${json}]`, 'Record "/r" is not whole.'],
  ])('refuses one that is %s', (_, text, message) => {
    expect(() => parseRecord(text, '/r')).toThrow(HostError);
    expect(() => parseRecord(text, '/r')).toThrow(message);
  });

  const wrong: readonly [keyof MachineRecord, unknown][] = [
    ['machine', 7],
    ['attempt', undefined],
    ['jobId', 7],
    ['tag', null],
    ['createdAt', 'yesterday'],
    ['deadline', ''],
    ['deadline', 1767225600],
    ['stopTimeoutSec', '3'],
    ['creator', 11],
    ['creator', { pid: '11', startTime: '1', bootId: BOOT }],
    ['runnerProcess', { pid: 12, bootId: BOOT }],
    ['tmpDir', ['/tmp']],
    ['directories', '/tmp'],
    ['directories', ['/tmp', 7]],
    ['virtualMachines', { kinds: ['vmware'], users: [] }],
    ['virtualMachines', { kinds: ['libvirt'], users: 'root' }],
    ['isKept', 'yes'],
  ];
  it.each(wrong)('refuses one whose %s is %j', (name, value) => {
    const text = JSON.stringify({ ...record, [name]: value });
    expect(() => parseRecord(text, '/r')).toThrow('Record "/r" is not whole.');
  });
});

describe('isProcessIdentity', () => {
  const identity = { pid: 1, startTime: '1', bootId: BOOT };
  it.each([
    [identity, true],
    [{ ...identity, pid: 1.5 }, false],
    [{ ...identity, pid: 2 ** 60 }, false],
    [{ ...identity, startTime: 1 }, false],
    [{ ...identity, bootId: undefined }, false],
    [null, false],
    ['1', false],
  ])('%j: %j', (value, is) => {
    expect(isProcessIdentity(value)).toBe(is);
  });
});

describe('a record on disk', () => {
  let dir = '';
  let path = '';
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'record-test-'));
    path = join(dir, 'record.json');
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  it('is read as it was written, for nobody else, with nothing beside it', () => {
    writeRecord(path, record);
    expect(readRecord(path)).toEqual(record);
    expect(inspectRecord(path)).toEqual({ state: 'usable', record });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(dir)).toEqual(['record.json']);
  });

  it('replaces another, and what a killed writer left', () => {
    writeRecord(path, record);
    writeFileSync(`${path}.new`, '{"form');
    writeRecord(path, { ...record, attempt: 'a2' });
    expect(readRecord(path)?.attempt).toBe('a2');
    expect(readdirSync(dir)).toEqual(['record.json']);
  });

  it('is not written where a link leads', () => {
    const target = join(dir, 'target');
    writeFileSync(target, 'mine');
    symlinkSync(target, path);
    symlinkSync(target, `${path}.new`);
    writeRecord(path, record);
    expect(readFileSync(target, 'utf8')).toBe('mine');
    expect(readRecord(path)).toEqual(record);
  });

  it('that is not there is none', () => {
    expect(readRecord(path)).toBeUndefined();
    expect(inspectRecord(path)).toEqual({ state: 'none' });
  });

  const spoilt: readonly (readonly [string, () => unknown, string])[] = [
    [
      'a link to a whole one',
      () => {
        writeRecord(join(dir, 'whole'), record);
        symlinkSync(join(dir, 'whole'), path);
      },
      'cannot be read',
    ],
    ['a link that leads nowhere', () => symlinkSync('/nowhere', path), 'cannot be read'],
    ['a FIFO, which nobody writes', () => execa('mkfifo', [path]), 'is not ours'],
    ['a directory', () => mkdirSync(path), 'is not ours'],
    ['too long', () => writeFileSync(path, `${json}${' '.repeat(64 * 1024)}`), 'is not ours'],
    ['torn', () => writeFileSync(path, json.slice(0, -9)), 'is torn'],
    ['empty', () => writeFileSync(path, ''), 'is torn'],
  ];
  it.each(spoilt)('that is %s is not used', async (_, make, message) => {
    await Promise.resolve(make());
    expect(() => readRecord(path)).toThrow(message);
    expect(readUsableRecord(path)).toBeUndefined();
    expect(inspectRecord(path)).toEqual({ state: 'unusable' });
  });

  it.runIf(process.getuid?.() === 0)('of another user is not used', async () => {
    writeRecord(path, record);
    await execa('chown', ['nobody', path]);
    expect(() => readRecord(path)).toThrow(`Record "${path}" is not ours.`);
    expect(inspectRecord(path)).toEqual({ state: 'unusable' });
  });

  it('of a newer version is told from one that is torn', () => {
    writeFileSync(path, JSON.stringify({ format: 2 }));
    expect(inspectRecord(path)).toEqual({ state: 'newer' });
    expect(readUsableRecord(path)).toBeUndefined();
  });
});
