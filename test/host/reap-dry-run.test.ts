/** `reap --dry-run` names all that a run would remove, and changes nothing: not even a time of a file. */
import { execa } from 'execa';
import { existsSync } from 'node:fs';
import { writeFile, rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reportProblems } from '../report-shape.ts';
import { BUNDLE, host, STATE_DIR } from './driver.ts';
import { difference, hostState, leftSince } from './host-state.ts';
import { plantLookAlikes } from './look-alikes.ts';
import { deadMachine, LOCKS, plantOrphans, prepareGround, SORTS } from './orphans.ts';
import { quietHost } from './quiet-host.ts';
import { explain, reap, type ReapItem } from './reap.ts';

const SETTINGS = '/tmp/dry-run.yaml';
const METRICS = '/tmp/dry-run.prom';
let restore: (() => Promise<void>) | undefined;

beforeAll(async () => {
  restore = await prepareGround();
  await quietHost();
  await writeFile(SETTINGS, `metrics_file: ${METRICS}\n`);
});
afterAll(async () => {
  await restore?.();
  await rm(SETTINGS);
});

/** Every file of ours with its times; whoever reads one may change the time of that. */
async function files(): Promise<string> {
  const places = ['/run/systemd/nspawn', '/run/systemd/machines', '/run/nspawn-runner'];
  const temporary = (await host('find', '/tmp', '-maxdepth', '1', '-name', '*custom-executor*'))
    .split('\n')
    .filter((path) => path !== '');
  const format = String.raw`%p %i %y %m %U %G %n %s %T@ %C@ %l\n`;
  const args = ['-path', `${STATE_DIR}/chroots/debian-*`, '-prune', '-o'];
  // The living machine writes its own.
  const machines = ['-path', '*/upper/var', '-prune', '-o', '-path', '*/upper/tmp', '-prune', '-o'];
  return host('find', STATE_DIR, ...places, ...temporary, ...args, ...machines, '-printf', format);
}

/** What the journal of the host says of us or our machines since then. */
async function journalSince(cursor: string): Promise<string[]> {
  const args = ['--no-pager', '--quiet', '--output=cat', `--after-cursor=${cursor}`];
  const lines = (await host('journalctl', ...args)).split('\n');
  return lines.filter((line) => /nsr\d-|nspawn-runner|custom-executor/.test(line));
}

async function journalCursor(): Promise<string> {
  const text = await host('journalctl', '--no-pager', '--lines=1', '--show-cursor', '--quiet');
  return /-- cursor: (.*)$/m.exec(text)?.[1] ?? '';
}

const names = (items: readonly ReapItem[], result: ReapItem['result']): string[] =>
  items
    // A directory that is removed is trash for a moment; a living process may end meanwhile.
    .filter((item) => item.result === result && item.kind !== 'trash')
    .map(({ kind, name }) => `${kind} ${name}`)
    .sort();

describe('a dry run', () => {
  it('changes nothing, and a run then does what it said', { timeout: 300_000 }, async () => {
    const empty = await hostState();
    const dead = await deadMachine();
    const lookAlikes = await plantLookAlikes(dead);
    await plantOrphans(SORTS.length);
    const [before, listed, cursor] = [await hostState(), await files(), await journalCursor()];

    const dry = await reap({ dryRun: true, args: [`--settings=${SETTINGS}`] });
    const argv = [BUNDLE, 'reap', '--dry-run', `--settings=${SETTINGS}`];
    const { exitCode, stdout, stderr } = await execa(process.execPath, argv, { stdin: 'ignore' });

    expect(await files()).toBe(listed);
    expect(difference(before, await hostState())).toEqual([]);
    expect(await journalSince(cursor)).toEqual([]);
    expect(existsSync(METRICS)).toBe(false);
    expect(existsSync(`${LOCKS}/reap`)).toBe(false);

    expect([dry.status, dry.stderr, exitCode, stderr]).toEqual([0, '', 0, '']);
    expect(reportProblems(JSON.stringify(dry.report))).toEqual([]);
    const planned = names(dry.report.items, 'would-remove');
    expect(stdout).toMatch(/\n\d+ to remove, \d+ kept, 0 failed, in [\d.]+ s\.$/);
    expect(stdout.match(/^would remove /gm)?.length).toBeGreaterThanOrEqual(planned.length);
    for (const { name } of dry.report.items) expect(stdout).toContain(name);

    const real = await reap();
    expect(reportProblems(JSON.stringify(real.report))).toEqual([]);
    expect(names(real.report.items, 'removed'), explain(real.report.items)).toEqual(planned);
    expect(names(real.report.items, 'kept')).toEqual(names(dry.report.items, 'kept'));
    expect(await lookAlikes.missing()).toEqual([]);
    await lookAlikes.dispose();
    expect(await leftSince(empty)).toEqual([]);
  });

  it('on a host with nothing to do says so, and so does a run', async () => {
    for (const dryRun of [true, false]) {
      const { status, report } = await reap({ dryRun });
      expect([status, report.items.filter(({ result }) => result !== 'kept')]).toEqual([0, []]);
      expect(reportProblems(JSON.stringify(report))).toEqual([]);
    }
  });

  it('given twice is still a dry run', async () => {
    const dead = await deadMachine();
    const before = await hostState();
    const argv = [BUNDLE, 'reap', '--dry-run', '--json', '--dry-run', '--json'];
    const { stdout } = await execa(process.execPath, argv, { stdin: 'ignore' });
    expect(JSON.parse(stdout)).toMatchObject({ dryRun: true });
    expect(difference(before, await hostState())).toEqual([]);
    expect((await reap()).about(dead.machine).map(({ result }) => result)).toContain('removed');
  });
});
