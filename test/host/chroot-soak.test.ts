/**
 * Jobs while updates replace their chroot: each sees one version from start to end, none fails, and
 * a version goes when its last job has ended. No old version is kept, so that a job which held its
 * version too late would find it gone.
 */
import { execa } from 'execa';
import { mkdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { withBuildLock } from '../../src/chroot/build-lock.ts';
import { pruneVersions } from '../../src/chroot/prune.ts';
import { switchCurrent } from '../../src/chroot/put-in-place.ts';
import { chrootDir } from '../../src/chroot/store.ts';
import { newVersion } from '../../src/chroot/version.ts';
import { versionsInUse } from '../../src/machine/versions-in-use.ts';
import type { RunningJob } from '../../src/runner/engine.ts';
import { startJob, type EmulatedResult, type Happening } from '../runner-emulator.ts';
import { fuzz } from '../unit/fuzz.ts';
import { newProject } from './host-job.ts';
import { explain, reap } from './reap.ts';
import { SmallChroots, STAMPS } from './small-chroots.ts';

/** scripts/sweep runs 100. */
const JOBS = Number(process.env['NSPAWN_RUNNER_SOAK'] ?? 8);
const SIDE_BY_SIDE = 8;
const SEC_EACH = 30;
const NAME = 'stamped';

const random = fuzz(`soak of ${JOBS} jobs`);
let chroots: SmallChroots;
const stamps = new Map<string, string>();

beforeAll(async () => {
  chroots = await SmallChroots.create();
  await chroots.writeRecipe(NAME);
  await chroots.succeed('create', NAME);
});
afterAll(() => chroots.dispose());
afterEach(async () => {
  expect(await chroots.unfinished(NAME)).toEqual([]);
  expect(await chroots.left()).toEqual([]);
});

/** Says each stamp at the beginning and at the end. */
function script(sec: number): readonly string[] {
  const read = `for at in ${STAMPS.join(' ')}; do echo "stamp $(cat $at)"; done`;
  return [read, `sleep ${sec}`, 'git --version >/dev/null', read];
}

function runJob(sec: number, image = NAME, on: readonly Happening[] = []): Promise<EmulatedResult> {
  return startJob({
    ...{ image, on },
    script: script(sec),
    variables: { CI_PROJECT_ID: String(newProject()) },
    driverArgs: [`--settings=${chroots.settingsFile}`],
  }).result;
}

/** The one stamp that the job saw; more than one, or none, fails. */
function stampOf({ status, log, operatorLog }: EmulatedResult): string {
  expect(status, `${log}${operatorLog}`).toBe('success');
  const seen = [...log.matchAll(/^stamp (\S+)$/gm)].map(([, stamp]) => stamp);
  expect(seen.length, log).toBe(2 * STAMPS.length);
  expect(new Set(seen).size, log).toBe(1);
  return seen[0] ?? '';
}

interface Loop {
  readonly stop: () => Promise<number>;
}

/** Calls `turn` again and again; a turn that fails is told by `stop`. */
function loop(turn: () => Promise<void>): Loop {
  const stopping = new AbortController();
  const turns = (async () => {
    let count = 0;
    for (; !stopping.signal.aborted; count++) await turn();
    return count;
  })();
  turns.catch(() => undefined);
  return {
    stop: () => {
      stopping.abort();
      return turns;
    },
  };
}

async function noteStamp(): Promise<void> {
  const { path, version } = await chroots.current(NAME);
  stamps.set((await readFile(join(path, STAMPS[0] ?? ''), 'utf8')).trim(), version);
}

/** As fast as they go. */
function updates(): Loop {
  return loop(async () => {
    await chroots.succeed('update', '--rebuild', NAME);
    await noteStamp();
  });
}

async function onlyCurrentIsLeft(): Promise<void> {
  const { version } = await chroots.current(NAME);
  expect(await chroots.versions(NAME)).toEqual([version]);
}

describe('jobs while `chroot update --rebuild` runs again and again', () => {
  it(
    `${JOBS} in a row`,
    async () => {
      await noteStamp();
      const updating = updates();
      const seen: string[] = [];
      for (let job = 0; job < JOBS; job++) seen.push(stampOf(await runJob(random.below(3))));
      const count = await updating.stop();
      expect(seen.filter((stamp) => !stamps.has(stamp))).toEqual([]);
      console.log(`${JOBS} jobs saw ${new Set(seen).size} versions of ${count}`);
      // The last update may have begun before the last job ended: the reaper comes later.
      const { status, report } = await reap({ args: [`--settings=${chroots.settingsFile}`] });
      expect(status, explain(report.items)).toBe(0);
      await onlyCurrentIsLeft();
    },
    (JOBS + 2) * SEC_EACH * 1000,
  );

  it(
    `${SIDE_BY_SIDE} side by side`,
    async () => {
      await noteStamp();
      const updating = updates();
      const rounds = Math.ceil(JOBS / SIDE_BY_SIDE / 2);
      const place = async (): Promise<string[]> => {
        const seen: string[] = [];
        for (let round = 0; round < rounds; round++) {
          seen.push(stampOf(await runJob(random.below(5))));
        }
        return seen;
      };
      const seen = (await Promise.all(Array.from({ length: SIDE_BY_SIDE }, place))).flat();
      const count = await updating.stop();
      expect(seen.filter((stamp) => !stamps.has(stamp))).toEqual([]);
      console.log(`${seen.length} jobs saw ${new Set(seen).size} versions of ${count}`);
      // Here the next update takes what the last ones had to leave.
      await chroots.succeed('update', '--rebuild', NAME);
      await onlyCurrentIsLeft();
    },
    (JOBS + 2) * SEC_EACH * 1000,
  );
});

describe('a version that a job uses', () => {
  it('stays through updates and reaps, and goes with the first reap after the job', async () => {
    await noteStamp();
    const { version } = await chroots.current(NAME);
    const reaping = () => reap({ args: [`--settings=${chroots.settingsFile}`] });
    const job = startJob({
      image: NAME,
      script: ['echo begun', ...script(60)],
      driverArgs: [`--settings=${chroots.settingsFile}`],
      on: [{ at: { log: /^begun$/m }, act: () => began() }],
    });
    let began = (): void => undefined;
    await new Promise<void>((resolve) => (began = resolve));
    for (let turn = 0; turn < 2; turn++) {
      const { stderr } = await chroots.succeed('update', '--rebuild', NAME);
      expect(stderr).toContain(`${NAME}: 1 old version stay`);
      const { report } = await reaping();
      expect(report.items.map(({ kind, name, result }) => [kind, name, result])).toContainEqual([
        'chroot-version',
        `${NAME}/${version}`,
        'kept',
      ]);
    }
    const show = await chroots.succeed('show', NAME);
    expect(show.stdout).toMatch(new RegExp(`^${version}.* nsr1-\\S+$`, 'm'));
    const remove = await chroots.run('remove', NAME);
    expect([remove.exitCode, remove.stderr]).toEqual([
      1,
      expect.stringContaining(`Chroot "${NAME}" is in use and was not removed.`),
    ]);
    job.cancel();
    await job.result;
    expect(await chroots.versions(NAME)).toContain(version);
    await reaping();
    await onlyCurrentIsLeft();
  });
});

/**
 * The moment that counts is short: from the look at what is current to the record that holds it. So
 * drivers are held up with SIGSTOP all over the beginning of their stages, until the version that
 * they may have seen is replaced and removed.
 */
describe('jobs whose version is replaced and removed while their driver stands still', () => {
  const HOT = 'hot';

  /** What an update does at its end and nothing else. */
  async function hotSwitch(pool: string): Promise<void> {
    const dir = chrootDir(chroots.stateDir, HOT);
    const version = newVersion(new Date());
    await execa('cp', ['--archive', '--link', pool, `${dir}/next`]);
    await withBuildLock(HOT, dir, async () => {
      await rename(`${dir}/next`, join(dir, 'versions', version));
      await switchCurrent(dir, version);
    });
    await pruneVersions(chroots.stateDir, HOT, () => versionsInUse(chroots.stateDir));
  }

  async function makePool(): Promise<string> {
    await mkdir(join(chrootDir(chroots.stateDir, HOT), 'versions'), { recursive: true });
    const pool = join(chroots.dir, 'pool');
    const { path } = await chroots.current(NAME);
    await execa('cp', ['--archive', join(path, '..'), pool]);
    await hotSwitch(pool);
    return pool;
  }

  it(
    `at ${2 * JOBS} points of config and prepare`,
    async () => {
      const pool = await makePool();
      const { stages } = await runJob(0, HOT);
      let again = 0;
      for (let point = 0; point < 2 * JOBS; point++) {
        const stage = point % 4 === 0 ? 'config' : 'prepare';
        const usual = stages.find((one) => one.stage === stage);
        const usualMs = (usual?.endedMs ?? 0) - (usual?.startedMs ?? 0);
        const afterMs = ((point + random.below(100) / 100) / (2 * JOBS)) * usualMs;
        const hold = async ({ signalDriver }: RunningJob): Promise<void> => {
          signalDriver('SIGSTOP');
          await hotSwitch(pool).finally(() => signalDriver('SIGCONT'));
        };
        const result = await runJob(0, HOT, [{ at: { stage, afterMs }, act: hold }]);
        stampOf(result);
        if (result.log.includes('has a newer version by now')) again += 1;
      }
      console.log(`${2 * JOBS} jobs were held up, ${again} of them began again`);
      await reap({ args: [`--settings=${chroots.settingsFile}`] });
      expect(await chroots.versions(HOT)).toHaveLength(1);
    },
    (2 * JOBS + 2) * SEC_EACH * 1000,
  );
});
