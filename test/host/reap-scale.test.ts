/**
 * Many orphans of all sorts on one host, reaped in one run, among what only looks like them.
 * NSPAWN_RUNNER_ORPHANS says how many.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hostState, leftSince } from './host-state.ts';
import { plantLookAlikes } from './look-alikes.ts';
import { deadMachine, plantOrphans, prepareGround, SORTS } from './orphans.ts';
import { quietHost } from './quiet-host.ts';
import { explain, reap } from './reap.ts';

const COUNT = Number(process.env['NSPAWN_RUNNER_ORPHANS'] ?? 60);
const MACHINES = Math.min(8, Math.ceil(COUNT / 30));
const TIMEOUT_MS = 300_000 + COUNT * 600;

let restore: (() => Promise<void>) | undefined;

beforeAll(async () => {
  restore = await prepareGround();
  await quietHost();
});
afterAll(() => restore?.());

describe('a host full of orphans', () => {
  it(
    `has none of ${COUNT} after one run, and all that only looks like one`,
    { timeout: TIMEOUT_MS },
    async () => {
      const empty = await hostState();
      const dead = await deadMachine();
      const lookAlikes = await plantLookAlikes(dead);
      // The dead job is in this state and goes: its lines are of no interest.
      const before = await hostState();
      await plantOrphans(COUNT - 1, { machines: MACHINES });
      const { status, report, stderr, durationMs } = await reap();
      const failed = report.items.filter(({ result }) => result === 'failed');
      expect([status, failed, stderr]).toEqual([0, [], '']);
      expect(await lookAlikes.missing(), explain(report.items)).toEqual([]);
      const ignore = [dead.machine, dead.tag, dead.tmpDir];
      expect(await leftSince(before, { ignore }), explain(report.items)).toEqual([]);
      const removed = report.items.filter(({ result }) => result === 'removed');
      expect(removed.length).toBeGreaterThanOrEqual(COUNT);
      console.log(
        `${COUNT} orphans of ${SORTS.length + 1} sorts: ${(durationMs / COUNT).toFixed(0)} ms each`,
      );
      const again = await reap();
      const touched = again.report.items.filter(({ result }) => result !== 'kept');
      expect([again.status, explain(touched)]).toEqual([0, '']);
      await lookAlikes.dispose();
      expect(await leftSince(empty)).toEqual([]);
    },
  );
});
