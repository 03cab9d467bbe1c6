/**
 * Builds of chroots that are killed all over: the version that jobs use is what it was, the next
 * build succeeds, and that build or the reaper takes away what is left.
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findChroot } from '../../src/chroot/store.ts';
import { listTree } from '../../src/chroot/tree-digest.ts';
import { fuzz } from '../unit/fuzz.ts';
import { waitFor } from './driver.ts';
import { explain, reap } from './reap.ts';
import { SmallChroots, STAMPS, type StartedProgram } from './small-chroots.ts';

/** scripts/sweep runs 50. */
const POINTS = Number(process.env['NSPAWN_RUNNER_CHROOT_KILLS'] ?? 9);
const PACKAGE_POINTS = Math.max(2, Math.ceil(POINTS / 12));
const NAME = 'killed';
/** Longer than a killed program takes to take its children with it, also when it waits for the disk. */
const END_MS = 30_000;

const random = fuzz(`${POINTS} killed builds`);
let chroots: SmallChroots;
const places = new Map<string, number>();
/** What an update says as it begins each of its steps; before the first it starts. */
const STEPS = [
  ...['', 'looking for changes', 'reading ', 'checking the archive', 'unpacking the archive'],
  ...['writing what', 'script 1 of 1', 'checking the tree', 'trying a machine', 'putting it'],
];
/** How long each takes when nobody kills it. */
let usualMs: readonly number[] = [];

interface Point {
  readonly index: number;
  readonly step: number;
  /** Of the step's usual time. */
  readonly fraction: number;
  readonly whom: 'driver' | 'group';
}

/** By turns in each step, so that few are spread as well as many. */
const points = Array.from({ length: POINTS }, (_, index): Point => ({
  index,
  step: (index + 1) % STEPS.length,
  fraction: random.below(1000) / 1000,
  whom: index % 2 === 0 ? 'driver' : 'group',
}));

beforeAll(async () => {
  chroots = await SmallChroots.create();
  await chroots.writeRecipe(NAME);
  await chroots.succeed('create', NAME);
  usualMs = await stepTimes();
});
afterAll(async () => {
  const usual = usualMs.map((ms) => Math.round(ms)).join(' ');
  console.log(`killed in: ${JSON.stringify(Object.fromEntries(places))}; usual ms: ${usual}`);
  await chroots.dispose();
});

function hasBegun(build: StartedProgram, step: number): boolean {
  return build.stderr().includes(step === 0 ? '' : `: ${STEPS[step] ?? ''}`);
}

async function stepTimes(): Promise<readonly number[]> {
  const build = chroots.start('update', '--rebuild', NAME);
  const begins: number[] = [];
  for (const step of STEPS.keys()) {
    await waitFor(STEPS[step] ?? '', () => hasBegun(build, step), 60_000);
    begins.push(performance.now());
  }
  expect((await build.ended).exitCode).toBe(0);
  begins.push(performance.now());
  return begins.slice(1).map((end, step) => end - (begins[step] ?? 0));
}

/** Starts it, and returns at the point; it may have ended by then. */
async function startUntil(
  point: Omit<Point, 'whom'>,
  verb: string,
  ...args: string[]
): Promise<StartedProgram> {
  const build = chroots.start(verb, ...args);
  let isOver = false;
  void build.ended.then(() => (isOver = true));
  await waitFor(STEPS[point.step] ?? '', () => isOver || hasBegun(build, point.step), 60_000);
  await sleep(point.fraction * (usualMs[point.step] ?? 0));
  return build;
}

/** All that is in the current tree; the stamps differ from version to version. */
async function content(withStamps = true): Promise<string> {
  const { path } = await chroots.current(NAME);
  const lines = await listTree(path);
  const isWanted = (line: string): boolean =>
    withStamps || !STAMPS.some((stamp) => line.startsWith(`${stamp} `));
  return lines.filter(isWanted).join('\n');
}

async function nothingIsLeft(): Promise<void> {
  expect(await chroots.unfinished(NAME)).toEqual([]);
  expect(await chroots.left()).toEqual([]);
}

async function reaped(): Promise<void> {
  const { status, report } = await reap({ args: [`--settings=${chroots.settingsFile}`] });
  expect(status, explain(report.items)).toBe(0);
}

function note(build: StartedProgram): void {
  const step = STEPS.findLastIndex((_, index) => hasBegun(build, index));
  const place = STEPS[step] === '' ? 'start' : (STEPS[step] ?? '').trim();
  places.set(place, (places.get(place) ?? 0) + 1);
}

/** Of the trial there is a machine, which the reaper ends. */
async function buildersAreGone(): Promise<void> {
  const builders = async (): Promise<readonly string[]> =>
    (await chroots.traces()).filter((trace) => !/nsr1-|--machine=nsr/.test(trace));
  await waitFor(
    'programs of the build to end',
    async () => (await builders()).filter((trace) => /^\s*\d+ /.test(trace)).length === 0,
    END_MS,
  ).catch(async (error: unknown) => {
    throw new Error(`Still there: ${(await builders()).join('\n')}`, { cause: error });
  });
}

describe(`SIGKILL at ${POINTS} points of an update`, () => {
  it.each(points)(
    'point $index, to the $whom',
    async (point) => {
      const { index, whom } = point;
      const old = await chroots.current(NAME);
      const oldContent = await content();
      const anyContent = await content(false);
      const build = await startUntil(point, 'update', '--rebuild', NAME);
      build.kill('SIGKILL', whom);
      const { signal } = await build.ended;
      note(build);
      if (signal !== undefined) await buildersAreGone();
      const now = await chroots.current(NAME);
      if (now.version === old.version) expect(await content()).toBe(oldContent);
      else expect(await content(false)).toBe(anyContent);
      // By turns the reaper comes before the next build, or after it.
      if (index % 4 < 2) {
        await reaped();
        await nothingIsLeft();
      }
      await chroots.succeed('update', '--rebuild', NAME);
      expect(await content(false)).toBe(anyContent);
      expect(await chroots.unfinished(NAME)).toEqual([]);
      await reaped();
      await nothingIsLeft();
      const { version } = await chroots.current(NAME);
      expect(await chroots.versions(NAME)).toEqual([version]);
    },
    120_000,
  );
});

describe('a first build that is killed', () => {
  it.each([4, 5, 8])('in step %i leaves no chroot', async (step) => {
    const name = 'first';
    await chroots.writeRecipe(name);
    const build = await startUntil({ index: 0, step, fraction: 0.5 }, 'create', name);
    build.kill('SIGKILL');
    const { signal } = await build.ended;
    await buildersAreGone();
    if (signal !== undefined) expect(await findChroot(chroots.stateDir, name)).toBeUndefined();
    await reaped();
    expect(await chroots.unfinished(name)).toEqual([]);
    await nothingIsLeft();
    await chroots.succeed('create', name);
    await chroots.succeed('remove', name);
  });
});

describe.each(['SIGTERM', 'SIGINT'] as const)('%s', (signal) => {
  it.each(points.filter(({ index }) => (index % 2 === 0) === (signal === 'SIGTERM')))(
    'at point $index ends a build at once, and nothing is left',
    async (point) => {
      const old = await chroots.current(NAME);
      const oldContent = await content();
      const build = await startUntil(point, 'update', '--rebuild', NAME);
      build.kill(signal);
      const startedAt = performance.now();
      const ended = await build.ended;
      note(build);
      expect(performance.now() - startedAt).toBeLessThan(30_000);
      await nothingIsLeft();
      if (ended.exitCode === 0) {
        expect((await chroots.current(NAME)).version).not.toBe(old.version);
        return;
      }
      // Before Node has read the program nobody has asked to be told of signals.
      if (ended.signal === undefined) {
        expect([ended.exitCode, ended.stderr]).toEqual([
          1,
          expect.stringMatching(
            /The work on chroot "killed" was stopped; jobs use what they used\.|was not begun\.|was stopped\./,
          ),
        ]);
      } else expect([ended.signal, ended.stderr]).toEqual([signal, '']);
      expect(await chroots.current(NAME)).toEqual(old);
      expect(await content()).toBe(oldContent);
    },
    60_000,
  );
});

describe(`SIGKILL at ${PACKAGE_POINTS} points of an installation of packages`, () => {
  const PACKAGES = 'packages';
  const WORDS = ['Get:', 'Unpacking', 'Setting up'];

  it.each(Array.from({ length: PACKAGE_POINTS }, (_, index) => index))(
    'point %i',
    async (index) => {
      await chroots.writeFile(
        `recipes/${PACKAGES}.yaml`,
        'debian: {suite: bookworm}\npackages: [systemd, systemd-sysv, dbus, git]\nkeep: 0\n',
      );
      const log = join(chroots.stateDir, 'chroots', PACKAGES, 'build.log');
      await rm(log, { force: true });
      const build = chroots.start('create', PACKAGES);
      const word = WORDS[index % WORDS.length] ?? '';
      const isSaid = async (): Promise<boolean> =>
        (await readFile(log, 'utf8').catch(() => '')).includes(word);
      await waitFor(word, isSaid, 90_000);
      await sleep(random.below(1_000));
      build.kill('SIGKILL', index % 2 === 0 ? 'driver' : 'group');
      expect((await build.ended).signal).toBe('SIGKILL');
      await buildersAreGone();
      expect(await findChroot(chroots.stateDir, PACKAGES)).toBeUndefined();
      await reaped();
      expect(await chroots.unfinished(PACKAGES)).toEqual([]);
      await nothingIsLeft();
    },
    180_000,
  );

  it('the next one succeeds', async () => {
    await chroots.succeed('create', PACKAGES);
    expect(await chroots.unfinished(PACKAGES)).toEqual([]);
    await nothingIsLeft();
  }, 180_000);
});
