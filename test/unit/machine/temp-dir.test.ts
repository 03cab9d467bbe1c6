import { execa } from 'execa';
import {
  chmodSync,
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
import { machineName } from '../../../src/machine/names.ts';
import { MARK, markTempDir } from '../../../src/machine/temp-dir-mark.ts';
import { listTempDirs, parseMark, readMark, tempRoots } from '../../../src/machine/temp-dir.ts';
import { BOOT } from '../reaper/made-up.ts';

const job = { id: '7', origin: 'gitlab.example.com' };
const machine = machineName(job);
const runnerProcess = { pid: 12, startTime: '1200', bootId: BOOT };
const mark = { format: 1, origin: job.origin, jobId: job.id, runnerProcess };

describe('parseMark', () => {
  it.each([
    ['what is written', mark, { machine, runnerProcess }],
    ['more than is read', { ...mark, more: 1 }, { machine, runnerProcess }],
    ['no Runner', { ...mark, runnerProcess: undefined }, { machine, runnerProcess: undefined }],
    [
      'half a Runner',
      { ...mark, runnerProcess: { pid: 1 } },
      { machine, runnerProcess: undefined },
    ],
    ['another format', { ...mark, format: 2 }, undefined],
    ['no format', { ...mark, format: undefined }, undefined],
    ['no origin', { ...mark, origin: undefined }, undefined],
    ['a number for a job id', { ...mark, jobId: 7 }, undefined],
    ['a path for a job id', { ...mark, jobId: '../7' }, undefined],
    ['too many digits', { ...mark, jobId: '1'.repeat(20) }, undefined],
    ['a list', [mark], undefined],
    ['null', null, undefined],
  ])('of %s', (_, value, expected) => {
    expect(parseMark(JSON.stringify(value))).toEqual(expected);
  });

  it.each(['', '{', JSON.stringify(mark).slice(0, 30), '\0\0\0\0'])(
    'of %j, which is torn',
    (text) => {
      expect(parseMark(text)).toBeUndefined();
    },
  );
});

describe('a directory of GitLab Runner’s', () => {
  let root = '';
  let stateDir = '';
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'temp-dir-test-'));
    stateDir = join(root, 'state');
  });
  afterEach(() => rmSync(root, { recursive: true }));

  function directory(name = 'custom-executor4711', mode = 0o755): string {
    const path = join(root, name);
    mkdirSync(path);
    chmodSync(path, mode);
    return path;
  }
  const listed = (): string[] =>
    listTempDirs(stateDir)
      .map(({ path }) => path)
      .filter((path) => path.startsWith(root));

  it('is marked for us alone, once, and found where it is', () => {
    const tmpDir = directory();
    markTempDir({ ...job, tmpDir }, stateDir);
    expect(readMark(tmpDir)?.machine).toBe(machine);
    expect(statSync(join(tmpDir, MARK)).mode & 0o777).toBe(0o600);
    markTempDir({ ...job, id: '8', tmpDir }, stateDir);
    expect(readMark(tmpDir)?.machine).toBe(machine);
    expect(listed()).toEqual([tmpDir]);
  });

  it.each([
    ['of another name', 'builds', 0o755],
    ['whose name only begins so', 'custom-executor', 0o755],
    ['whose name has more behind it', 'custom-executor1.d', 0o755],
    ['that a group writes', 'custom-executor1', 0o775],
    ['that everybody writes', 'custom-executor1', 0o757],
  ])('%s is not marked, and not believed with a mark', (_, name, mode) => {
    const tmpDir = directory(name, mode);
    markTempDir({ ...job, tmpDir }, stateDir);
    expect(readdirSync(tmpDir)).toEqual([]);
    // So that this root is looked through.
    markTempDir({ ...job, tmpDir: directory('custom-executor2') }, stateDir);
    writeFileSync(join(tmpDir, MARK), JSON.stringify(mark));
    expect(listed()).toEqual([join(root, 'custom-executor2')]);
  });

  it('is not found through a link', () => {
    markTempDir({ ...job, tmpDir: directory() }, stateDir);
    symlinkSync(join(root, 'custom-executor4711'), join(root, 'custom-executor1'));
    expect(listed()).toEqual([join(root, 'custom-executor4711')]);
  });

  const spoil: readonly (readonly [string, (path: string) => unknown])[] = [
    ['a link', (path: string) => symlinkSync('/etc/hostname', path)],
    ['a FIFO', (path: string) => execa('mkfifo', [path])],
    ['a directory', (path: string) => mkdirSync(path)],
    [
      'too long',
      (path: string) => writeFileSync(path, `${JSON.stringify(mark)}${' '.repeat(5000)}`),
    ],
    ['torn', (path: string) => writeFileSync(path, '{"format":1,')],
    [
      'another’s file through a link',
      (path: string) => {
        writeFileSync(join(root, 'whole'), JSON.stringify(mark));
        symlinkSync(join(root, 'whole'), path);
      },
    ],
  ];
  it.each(spoil)('with a mark that is %s is not ours', async (_, make) => {
    const tmpDir = directory();
    await Promise.resolve(make(join(tmpDir, MARK)));
    expect(readMark(tmpDir)).toBeUndefined();
  });

  it.runIf(process.getuid?.() === 0)('with a mark of another user is not ours', async () => {
    const tmpDir = directory();
    markTempDir({ ...job, tmpDir }, stateDir);
    await execa('chown', ['nobody', join(tmpDir, MARK)]);
    expect(readMark(tmpDir)).toBeUndefined();
    await execa('chown', ['nobody', tmpDir]);
    expect(listed()).toEqual([]);
  });

  it('that is nobody’s, or not there, is no failure', () => {
    markTempDir({ ...job, tmpDir: undefined }, stateDir);
    markTempDir({ ...job, tmpDir: join(root, 'custom-executor9') }, stateDir);
    expect(readdirSync(root)).toEqual([]);
  });

  it('leaves a root to look through, until the root is gone', () => {
    markTempDir({ ...job, tmpDir: directory() }, stateDir);
    const [file = ''] = readdirSync(join(stateDir, 'temp-roots'));
    expect(readFileSync(join(stateDir, 'temp-roots', file), 'utf8')).toBe(root);
    writeFileSync(join(stateDir, 'temp-roots', 'gone'), '/nowhere/at/all');
    writeFileSync(join(stateDir, 'temp-roots', 'torn'), 'tmp');
    const { roots, gone } = tempRoots(stateDir);
    expect(roots).toEqual(['/tmp', '/var/tmp', root]);
    expect(gone.map((path) => path.slice(-5)).sort()).toEqual(['/gone', '/torn']);
  });
});
