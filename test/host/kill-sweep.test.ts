/**
 * A job killed at many points of its life, while ten others run: SIGKILL to the driver's whole
 * group, after which the runner goes on with cleanup and retries, and to driver and runner
 * together. After one reap nothing of the dead jobs is left, and none of the ten has noticed.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runJob } from '../runner-emulator.ts';
import { fuzz } from '../unit/fuzz.ts';
import { startCrowd, type Crowd } from './crowd.ts';
import { hostState, leftSince, type HostState } from './host-state.ts';
import {
  killAt,
  killPoints,
  usualTimes,
  victimJob,
  type KilledJob,
  type UsualTimes,
} from './kill-points.ts';
import { quietHost } from './quiet-host.ts';
import { explain, reap } from './reap.ts';

/** scripts/sweep runs the full count. */
const POINTS = Number(process.env['NSPAWN_RUNNER_SWEEP'] ?? 24);
const AT_ONCE = 6;
const CROWD = 10;
/** What a job may end as when its driver was killed and its runner was not. */
const HONEST_ENDS = ['success', 'runner_system_failure'];

const random = fuzz(`kill sweep of ${POINTS} points`);
const points = killPoints(POINTS, random);
const batches = Array.from({ length: Math.ceil(POINTS / AT_ONCE) }, (_, batch) =>
  points.slice(batch * AT_ONCE, (batch + 1) * AT_ONCE),
);

let before: HostState;
let crowd: Crowd;
let tmpRoot: string;
let usual: UsualTimes;
let startedAt: number;
const hits: string[] = [];
let unmarkedDirs = 0;
/** Found once, and not held against the points that follow. */
const known: string[] = [];

beforeAll(async () => {
  tmpRoot = await mkdtemp(join(tmpdir(), 'kill-sweep-'));
  await quietHost();
  before = await hostState();
  crowd = await startCrowd(CROWD);
  const unharmed = Array.from({ length: AT_ONCE }, () => runJob(victimJob(tmpRoot)));
  const jobs = await Promise.all(unharmed);
  expect(jobs.map(({ status }) => status)).toEqual(jobs.map(() => 'success'));
  usual = usualTimes(jobs);
  startedAt = performance.now();
});

describe(`a job killed at ${POINTS} points beside ${CROWD} others`, () => {
  it.each(batches.map((batch, index) => [index * AT_ONCE, batch] as const))(
    'from point %i on',
    async (_, batch) => {
      const killed = await Promise.all(batch.map((point) => killAt(point, usual, tmpRoot)));
      const { status, stderr, report, about } = await reap();
      const ignore = (): string[] => [...crowd.names(), ...known];
      const found = await leftSince(before, { ignore, timeoutMs: 20_000 });
      const left = await withoutUnmarked(found, killed);
      for (const { runner } of killed) await runner?.dismiss();
      known.push(...left.map((line) => line.replace(/^\w+: \S+: /, '')));
      const machines = killed.map(({ machine }) => machine);
      expect(left, `${tell(killed)}\n${stderr}\n${explain(about(...machines))}`).toEqual([]);
      const failed = report.items.filter(({ result }) => result === 'failed');
      expect([status, explain(failed)]).toEqual([0, '']);
      expect(explain(about(...crowd.machines()).filter(isHarm))).toBe('');
      expect(crowd.disturbed).toEqual([]);
      for (const { end, hit, point } of killed) {
        if (hit !== undefined) hits.push(`${point.phase}: ${hit}`);
        if (end !== undefined) expect(HONEST_ENDS, tell(killed)).toContain(end);
      }
    },
  );
});

afterAll(async () => {
  const seconds = (performance.now() - startedAt) / 1000;
  await crowd.stop();
  const left = await leftSince(before, { ignore: [tmpRoot, ...known] });
  await rm(tmpRoot, { recursive: true, force: true });
  const rate = (POINTS / seconds).toFixed(2);
  console.log(
    `kill sweep: ${POINTS} points, ${hits.length} hit a call, ${rate} points/second, seed ${random.seed}; ` +
      `beside them ${crowd.ended()} jobs ended, ${crowd.disturbed.length} disturbed; ` +
      `${unmarkedDirs} directories of runners that died before config marked them; ` +
      `usual ms ${JSON.stringify(usual)}; ${JSON.stringify(counted(hits))}`,
  );
  expect(crowd.disturbed).toEqual([]);
  expect(left).toEqual([]);
});

/**
 * A runner that is killed before the config stage could mark its directory leaves it: nothing tells
 * that it is ours. Counted, and removed here.
 */
async function withoutUnmarked(
  left: readonly string[],
  killed: readonly KilledJob[],
): Promise<string[]> {
  const early = killed.filter(
    ({ point: { phase, whom }, hit }) =>
      phase === 'prepare' &&
      whom === 'driver and runner' &&
      (hit === 'config' || hit === undefined),
  );
  const unmarked = left
    .map((line) => /^left: temp-dir: (.*)$/.exec(line)?.[1])
    .filter((path) => path !== undefined && !existsSync(join(path, '.nspawn-runner.json')))
    .filter((path) => path !== undefined);
  // One for each such runner, and no more: a mark that is missing elsewhere is a fault.
  if (unmarked.length > early.length) return [...left];
  for (const path of unmarked) await rm(path, { recursive: true });
  unmarkedDirs += unmarked.length;
  return left.filter((line) => !unmarked.some((path) => line.endsWith(path)));
}

/** Of what ended by itself a reap may find trash or a lock in passing; a living job has the rest. */
function isHarm({ kind, result }: { kind: string; result: string }): boolean {
  return result !== 'kept' && ['machine', 'process', 'virtual-machine'].includes(kind);
}

function tell(killed: readonly KilledJob[]): string {
  return killed
    .map(({ point: { index, phase, fraction, whom }, machine, hit, end }) =>
      [
        `point ${index}: ${machine}, ${whom} at ${fraction} of ${phase}`,
        `in ${hit ?? 'no call'}, ended as ${end ?? 'killed'}`,
      ].join(', '),
    )
    .join('\n');
}

function counted(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}
