/** `reap` as it is called: by whom, with which arguments, and what it prints. */
import { execa } from 'execa';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reportOf } from '../../src/reaper/report.ts';
import { keep, remove } from '../../src/reaper/finding.ts';
import { reportProblems } from '../report-shape.ts';
import { BUILT_PROGRAM } from '../runner-emulator.ts';

const NOBODY = 65_534;
let dir = '';

beforeAll(async () => {
  // A place where whoever is not root can read the program.
  dir = await mkdtemp(join(tmpdir(), 'nspawn-runner-reap-'));
  await execa('chmod', ['0755', dir]);
  await cp(dirname(BUILT_PROGRAM), join(dir, 'dist'), { recursive: true });
  await writeFile(join(dir, 'settings.yaml'), `state_dir: ${dir}/state\n`);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

interface Ended {
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

async function reap(args: readonly string[], options: { uid?: number } = {}): Promise<Ended> {
  const argv = [join(dir, 'dist/nspawn-runner.cjs'), 'reap', ...args];
  const { exitCode, stdout, stderr } = await execa(process.execPath, argv, {
    ...{ reject: false, cwd: '/', stdin: 'ignore' },
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  });
  return { status: exitCode, stdout, stderr };
}

describe('reap by somebody who is not root', () => {
  it.each([[[]], [['--json']], [['--dry-run']], [['--dry-run', '--json']]])(
    'is refused with one sentence: reap %s',
    async (args) => {
      const ended = await reap(args, process.getuid?.() === 0 ? { uid: NOBODY } : {});
      expect([ended.status, ended.stdout]).toEqual([1, '']);
      const [sentence = ''] = ended.stderr.split('\n');
      expect(sentence).toBe('reap: only root may do this.');
      expect(ended.stderr).toContain('Call it with sudo');
      expect(ended.stderr).not.toMatch(/\bat .*:\d+:\d+/);
    },
  );
});

describe('arguments of reap that mean nothing', () => {
  it.each([
    [['--dryrun'], /dryrun/],
    [['--dry-run=yes'], /--dry-run=yes: --dry-run takes no value/],
    [['--dry-run=false'], /takes no value/],
    [['--json=pretty'], /--json takes no value/],
    [['everything'], /everything/],
    [['--machine=nsr1-abcdefgh-1'], /machine/],
  ])('reap %s', async (args, complaint) => {
    const { status, stdout, stderr } = await reap(args);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(complaint);
    expect(stderr).not.toMatch(/\bat .*:\d+:\d+/);
  });

  it('settings that are not there', async () => {
    const { status, stdout, stderr } = await reap(['--settings=/nonexistent/settings.yaml']);
    expect([status, stdout]).toEqual([1, '']);
    if (process.getuid?.() === 0) expect(stderr).toContain('/nonexistent/settings.yaml');
  });
});

describe('the help', () => {
  it('tells what it does and its flags', async () => {
    const { status, stdout } = await reap(['--help']);
    expect(status).toBe(0);
    for (const word of ['--dry-run', '--json', 'timer']) expect(stdout).toContain(word);
  });
});

describe('the checker of reports', () => {
  const things = [{ kind: 'lock', name: 'nsr1-abcdefgh-1' }] as const;
  const none = (): Promise<undefined> => Promise.resolve(undefined);
  const dead = { machine: undefined, things, verdict: remove('gone', 'a fact'), remove: none };
  const living = { machine: undefined, things, verdict: keep('lives'), remove: none };
  const run = { dryRun: false, startedAt: new Date(), now: new Date() };
  const text = (report: object): string => JSON.stringify(report);

  it('takes what the reaper makes', () => {
    const report = reportOf(
      [
        { case: dead, result: 'removed' },
        { case: dead, result: 'kept', changed: 'it lives' },
        { case: dead, result: 'failed', error: new Error('no') },
        { case: living, result: 'kept' },
      ],
      run,
    );
    expect(reportProblems(text(report))).toEqual([]);
    const dry = reportOf([{ case: dead, result: 'would-remove' }], { ...run, dryRun: true });
    expect(reportProblems(text(dry))).toEqual([]);
  });

  it.each<[string, object]>([
    ['a count that is off', { counts: { lock: { removed: 2, kept: 0, failed: 0 } } }],
    ['a kind that is not known', { counts: { locks: { removed: 0, kept: 0, failed: 0 } } }],
    ['a field too much', { more: 1 }],
    ['a time that is none', { startedAt: 'today' }],
    ['something removed in a dry run', { dryRun: true }],
  ])('refuses %s', (_, over) => {
    const report = reportOf([{ case: dead, result: 'removed' }], run);
    expect(reportProblems(text({ ...report, ...over }))).not.toEqual([]);
  });
});
