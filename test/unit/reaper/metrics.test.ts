import {
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KINDS } from '../../../src/reaper/finding.ts';
import { renderMetrics, writeMetrics, type ReapRun } from '../../../src/reaper/metrics.ts';

const run: ReapRun = {
  counts: {
    process: { removed: 3, kept: 0, failed: 1 },
    machine: { removed: 2, kept: 10, failed: 0 },
  },
  startedAtSec: 1_790_000_000,
  durationSec: 0.25,
  ok: false,
};
const good: ReapRun = { ...run, startedAtSec: 1_790_000_300, ok: true };
const success = /^nspawn_runner_reap_last_success_timestamp_seconds .*$/m;
const total = (text: string, kind: string, result: string): string | undefined =>
  new RegExp(`^nspawn_runner_reaped_total\\{kind="${kind}",result="${result}"\\} (.*)$`, 'm').exec(
    text,
  )?.[1];

describe('renderMetrics', () => {
  it('writes the text format', () => {
    const text = renderMetrics(undefined, good);
    const others = /^\w+\{kind="(?!machine"|process")[a-z-]+".*\n/gm;
    expect(text.replaceAll(others, '')).toBe(`\
# HELP nspawn_runner_reaped_total Things that the reaper removed, or failed to remove.
# TYPE nspawn_runner_reaped_total counter
nspawn_runner_reaped_total{kind="machine",result="removed"} 2
nspawn_runner_reaped_total{kind="machine",result="failed"} 0
nspawn_runner_reaped_total{kind="process",result="removed"} 3
nspawn_runner_reaped_total{kind="process",result="failed"} 1
# HELP nspawn_runner_reap_kept Things that the last run looked at and kept.
# TYPE nspawn_runner_reap_kept gauge
nspawn_runner_reap_kept{kind="machine"} 10
nspawn_runner_reap_kept{kind="process"} 0
# HELP nspawn_runner_reap_last_run_timestamp_seconds When the last run started, as Unix time.
# TYPE nspawn_runner_reap_last_run_timestamp_seconds gauge
nspawn_runner_reap_last_run_timestamp_seconds 1790000300
# HELP nspawn_runner_reap_last_success_timestamp_seconds When the last run started that removed all that it was to.
# TYPE nspawn_runner_reap_last_success_timestamp_seconds gauge
nspawn_runner_reap_last_success_timestamp_seconds 1790000300
# HELP nspawn_runner_reap_duration_seconds How long the last run took.
# TYPE nspawn_runner_reap_duration_seconds gauge
nspawn_runner_reap_duration_seconds 0.25
`);
  });

  it('has every kind from the first run on, at zero', () => {
    const text = renderMetrics(undefined, { ...good, counts: {} });
    for (const kind of KINDS) {
      expect(total(text, kind, 'removed')).toBe('0');
      expect(total(text, kind, 'failed')).toBe('0');
      expect(text).toContain(`nspawn_runner_reap_kept{kind="${kind}"} 0\n`);
    }
  });

  it('keeps the counters of a kind that there is no more', () => {
    const old = 'nspawn_runner_reaped_total{kind="balloon",result="removed"} 7\n';
    expect(total(renderMetrics(old, run), 'balloon', 'removed')).toBe('7');
  });

  it('goes on from the counters that were there', () => {
    const text = renderMetrics(renderMetrics(renderMetrics(undefined, run), run), good);
    expect(total(text, 'process', 'removed')).toBe('9');
    expect(total(text, 'process', 'failed')).toBe('3');
  });

  it('keeps the counters of a kind that a run does not have', () => {
    const text = renderMetrics(renderMetrics(undefined, run), { ...good, counts: {} });
    expect(total(text, 'machine', 'removed')).toBe('2');
    expect(text).toContain('nspawn_runner_reap_kept{kind="machine"} 0\n');
  });

  it('says nothing of a success before there was one, and keeps the last', () => {
    const failed = renderMetrics(undefined, run);
    expect(failed).not.toMatch(success);
    const again = renderMetrics(renderMetrics(failed, good), run);
    expect(success.exec(again)?.[0]).toMatch(/ 1790000300$/);
  });

  const machines = (value: string): string =>
    `nspawn_runner_reaped_total{kind="machine",result="removed"} ${value}`;
  it.each([
    ['nothing', '', '2'],
    ['a whole line', `${machines('40')}\n`, '42'],
    ['the half of a number', machines('40'), '2'],
    ['a negative number', `${machines('-4')}\n`, '2'],
    ['no number', `${machines('NaN')}\n`, '2'],
    ['more digits than a number holds', `${machines('9'.repeat(20))}\n`, '2'],
    ['another order of labels', machines('4').replace(/\{.*\}/, '{result="removed"}'), '2'],
    ['NUL bytes after a loss of power', '\0'.repeat(200), '2'],
    ['another file', '{"a": 1}\n', '2'],
  ])('starts from %s', (_, previous, expected) => {
    expect(total(renderMetrics(previous, run), 'machine', 'removed')).toBe(expected);
  });
});

describe('writeMetrics', () => {
  let dir = '';
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'nspawn-runner-metrics-'));
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  it('is read by everyone, whole, and leaves nothing beside it', async () => {
    const path = join(dir, 'reap.prom');
    const umask = process.umask(0o077);
    try {
      expect(await writeMetrics(path, run)).toBeUndefined();
      await writeFile(join(dir, '.reap.prom.new'), 'of a run that was killed');
      expect(await writeMetrics(path, run)).toBeUndefined();
    } finally {
      process.umask(umask);
    }
    expect(total(await readFile(path, 'utf8'), 'machine', 'removed')).toBe('4');
    expect((await stat(path)).mode & 0o777).toBe(0o644);
    expect(await readdir(dir)).toEqual(['reap.prom']);
  });

  it('replaces a link and writes nothing where it leads', async () => {
    const target = join(dir, 'target');
    const path = join(dir, 'link.prom');
    await writeFile(target, 'mine\n');
    await symlink(target, path);
    await symlink(target, join(dir, '.link.prom.new'));
    expect(await writeMetrics(path, run)).toBeUndefined();
    expect(await readFile(target, 'utf8')).toBe('mine\n');
    await expect(readlink(path)).rejects.toThrow('EINVAL');
  });

  it('says why it did not write, and throws nothing', async () => {
    expect(await writeMetrics(join(dir, 'none', 'reap.prom'), run)).toMatch(
      /^Metrics file ".*\/none\/reap\.prom" was not written: ENOENT/,
    );
    const directory = join(dir, 'directory.prom');
    await mkdir(directory);
    expect(await writeMetrics(directory, run)).toMatch(/was not written: /);
    expect(await readdir(dir)).not.toContain('.directory.prom.new');
  });
});
