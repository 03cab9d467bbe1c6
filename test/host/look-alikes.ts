/** What only looks like an orphan, and must be there after a reap as it was before. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chown, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { jobDirectory } from '../../src/machine/job-directory.ts';
import { identifyProcess } from '../../src/process-identity.ts';
import { DriverJob, host, isUp, STATE_DIR, waitFor } from './driver.ts';
import {
  deadProcess,
  deadRecord,
  LOCKS,
  makeDirectory,
  makeTempDir,
  markOf,
  newPlace,
  NOBODY,
  sleepingUnit,
  strayProcess,
  type Place,
} from './orphans.ts';

/** What is gone though it must not; by what it is. */
export type Missing = () => Promise<readonly string[]>;

export interface LookAlikes {
  readonly missing: Missing;
  /** Proves that the living jobs go on, then removes everything. */
  readonly dispose: () => Promise<void>;
}

interface Kept {
  readonly what: string;
  readonly isThere: () => boolean | Promise<boolean>;
  readonly remove: () => unknown;
}

/** @param dead a job that the reaper will find dead: its marks are worn by some. */
export async function plantLookAlikes(dead: Place): Promise<LookAlikes> {
  const living = await livingJob(dead);
  const kept: readonly Kept[] = [
    ...(await processes(dead, living)),
    ...(await paths()),
    ...(await tempDirs()),
    ...(await others()),
  ];
  return {
    missing: async () => {
      const gone: string[] = [];
      for (const { what, isThere } of kept) if (!(await isThere())) gone.push(what);
      if (!(await isUp(living))) gone.push('the living machine');
      return gone;
    },
    dispose: async () => {
      const { stdout } = await living.run('pgrep --exact --full "sleep 31000"; echo on');
      if (!/^\d+\non\n$/.test(stdout)) throw new Error(`The living job was disturbed: ${stdout}`);
      // First: its own cleanup ends what wears its mark.
      for (const { remove } of kept) await remove();
      await living.dispose();
    },
  };
}

/** Its Runner is this test; a process in its machine wears the marks of the dead job. */
async function livingJob(dead: Place): Promise<DriverJob> {
  const job = await DriverJob.create();
  await job.prepare();
  const marks = `_CI_JOB_TAG=${dead.tag} _CI_JOB_MACHINE=${dead.machine}`;
  await job.run(`setsid env ${marks} sleep 31000 >/dev/null 2>&1 &`);
  return job;
}

async function processes(dead: Place, living: DriverJob): Promise<readonly Kept[]> {
  const livingTag = `runner-3-project-7-concurrent-0-${living.id}`;
  const asNobody = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
  const sleep = ['sleep', '32000'];
  const mark = `_CI_JOB_TAG=${dead.tag}`;
  const worn: readonly (readonly [string, Record<string, string>, readonly string[]])[] = [
    ['the tag as a part of the value', { _CI_JOB_TAG: `${dead.tag}0` }, sleep],
    ['the tag as the end of the value', { _CI_JOB_TAG: `x${dead.tag}` }, sleep],
    ['the tag under a longer name', { X_CI_JOB_TAG: dead.tag }, sleep],
    ['the tag as text of a value', { OTHER: mark }, sleep],
    ['the mark behind a line feed', { OTHER: `\n_CI_JOB_MACHINE=${dead.machine}` }, sleep],
    ['a mark that is no machine', { _CI_JOB_MACHINE: `x${dead.machine}` }, sleep],
    ['the mark in its arguments', {}, ['sh', '-c', 'kill -STOP $$', mark]],
    ['a living job’s tag, of another user', { _CI_JOB_TAG: livingTag }, [...asNobody, ...sleep]],
    ['a living job’s mark', { _CI_JOB_MACHINE: living.machine }, [...asNobody, ...sleep]],
  ];
  const kept: Kept[] = [];
  for (const [what, env, argv] of worn) {
    const identity = identifyProcess(await strayProcess(env, argv));
    const pid = identity?.pid ?? 0;
    kept.push({
      what: `a process with ${what}`,
      isThere: () => identifyProcess(pid)?.startTime === identity?.startTime,
      remove: () => process.kill(pid, 'SIGKILL'),
    });
  }
  return kept;
}

function pathKept(what: string, path: string): Kept {
  return {
    what: `${what}: ${path}`,
    isThere: () => existsSync(path),
    remove: () => rm(path, { recursive: true }),
  };
}

async function paths(): Promise<readonly Kept[]> {
  const kept: Kept[] = [];
  const make = async (what: string, path: string, isFile = false): Promise<void> => {
    await (isFile ? writeFile(path, 'mine') : mkdir(path, { recursive: true }));
    kept.push(pathKept(what, path));
  };
  const other = newPlace().machine;
  await make('a directory of a later format', join(STATE_DIR, 'jobs', other.replace('1', '2')));
  await make('a person’s directory', join(STATE_DIR, 'jobs', 'notes'));
  await make('a copy', join(STATE_DIR, 'jobs', `${other}.bak`));
  await make('a number with a zero in front', join(STATE_DIR, 'jobs', 'nsr1-abcdefgh-01'));
  await make('a foreign claim', join(STATE_DIR, 'claims', 'nsr1-x.json'), true);
  await make('remains of another machine', '/run/systemd/nspawn/propagate/mine');
  await make('a cache', join(STATE_DIR, 'cache', 'mine'));
  const newer = newPlace();
  const directory = await makeDirectory(newer);
  const text = JSON.stringify({ ...deadRecord(newer), format: 2 });
  await writeFile(jobDirectory(STATE_DIR, newer.machine).record, text, { mode: 0o600 });
  return [...kept, pathKept('what a newer program wrote', directory)];
}

async function tempDirs(): Promise<readonly Kept[]> {
  const place = newPlace();
  const mark = markOf(place, deadProcess());
  const self = identifyProcess(process.pid);
  const foreign = await makeTempDir(mark);
  await chown(join(foreign, '.nspawn-runner.json'), NOBODY, NOBODY);
  const theirs = await makeTempDir(mark);
  await chown(theirs, NOBODY, NOBODY);
  const named = `/tmp/my-custom-executor${randomBytes(4).toString('hex')}`;
  await mkdir(named);
  await writeFile(join(named, '.nspawn-runner.json'), mark, { mode: 0o600 });
  return [
    pathKept('no mark', await makeTempDir()),
    pathKept('a mark that is torn', await makeTempDir('{"format":1,')),
    pathKept('a mark of nobody’s', foreign),
    pathKept('another user’s directory', theirs),
    pathKept('a person’s name', named),
    pathKept('a Runner that lives', await makeTempDir(markOf(place, self))),
    pathKept('a Runner that is not known', await makeTempDir(markOf(place, undefined))),
  ];
}

async function others(): Promise<readonly Kept[]> {
  const [held, built] = [newPlace().machine, join(STATE_DIR, 'chroots', 'being-built')];
  await sleepingUnit('nsr1-x');
  await host('ip', 'link', 'add', 've-mine', 'type', 'veth', 'peer', 'name', 'vp-mine');
  const lock = join(LOCKS, held);
  await mkdir(join(built, 'building-now'), { recursive: true });
  const holders = [
    await strayProcess({}, ['flock', '--exclusive', lock, 'sleep', '32000']),
    await strayProcess({}, ['flock', '--exclusive', join(built, 'build.lock'), 'sleep', '32000']),
  ];
  await waitFor('the locks are there', () => existsSync(lock));
  const release = async (): Promise<void> => {
    for (const pid of holders) await host('pkill', '--signal=KILL', `--parent=${pid}`);
  };
  return [
    {
      what: 'a unit that is not a job’s',
      isThere: async () => (await host('systemctl', 'is-active', 'nsr1-x.service')) === 'active',
      remove: () => host('systemctl', 'stop', 'nsr1-x.service'),
    },
    {
      what: 'a link of a person',
      isThere: () => existsSync('/sys/class/net/ve-mine'),
      remove: () => host('ip', 'link', 'delete', 'dev', 've-mine'),
    },
    { ...pathKept('a lock that is held', lock), remove: () => release().then(() => rm(lock)) },
    {
      ...pathKept('a chroot that is being built', join(built, 'building-now')),
      remove: () => rm(built, { recursive: true }),
    },
  ];
}
