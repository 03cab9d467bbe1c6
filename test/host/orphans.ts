/** Makers of what dead jobs leave on a host, one of each sort by turns, and of what only looks like it. */
import { execa } from 'execa';
import { randomBytes, randomInt } from 'node:crypto';
import { chown, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { jobDirectory } from '../../src/machine/job-directory.ts';
import { machineName } from '../../src/machine/names.ts';
import { currentBootId, type ProcessIdentity } from '../../src/process-identity.ts';
import { parseRecord, writeRecord, type MachineRecord } from '../../src/machine/record.ts';
import { DriverJob, host, STATE_DIR } from './driver.ts';

const ORIGIN = 'gitlab.example.com';
export const LOCKS = '/run/nspawn-runner/locks';
const NSPAWN = '/run/systemd/nspawn';
export const NOBODY = 65_534;
/** Builds of it are planted; it has a lock's file for good, as a chroot that was ever built has. */
const BUILT_CHROOT = 'half-built';

export interface Place {
  readonly machine: string;
  /** Value of `_CI_JOB_TAG`. */
  readonly tag: string;
}

export interface Orphan extends Place {
  readonly sort: string;
}

export interface DeadMachine extends Orphan {
  /** GitLab Runner's directory. */
  readonly tmpDir: string;
}

export function newPlace(): Place {
  const id = String(randomInt(1, 2 ** 40));
  const tag = `runner-3-project-7-concurrent-0-${id}`;
  return { machine: machineName({ origin: ORIGIN, id }), tag };
}

/** A process that has ended for good. */
export function deadProcess(): ProcessIdentity {
  return { pid: 4_194_303, startTime: '1', bootId: currentBootId() };
}

/** The record of a job whose Runner and prepare stage are dead. */
export function deadRecord(place: Place, over: Partial<MachineRecord> = {}): MachineRecord {
  const { machine, tag } = place;
  return {
    ...{ format: 1, machine, tag, attempt: randomBytes(8).toString('hex') },
    ...{ jobId: machine.slice(machine.lastIndexOf('-') + 1), projectId: '7' },
    origin: ORIGIN,
    createdAt: new Date().toISOString(),
    deadline: new Date(Date.now() + 3_600_000).toISOString(),
    ...{ creator: deadProcess(), runnerProcess: deadProcess() },
    ...{ chroot: 'debian-12', chrootVersion: 'v1', shell: '/bin/bash', user: 'root' },
    ...{ stopTimeoutSec: 0, scriptStopTimeoutSec: 10 },
    ...over,
  };
}

/** A job's directory with files in it. */
export async function makeDirectory({ machine }: Place, record?: MachineRecord): Promise<string> {
  const directory = jobDirectory(STATE_DIR, machine);
  await mkdir(join(directory.upper, 'etc'), { recursive: true, mode: 0o700 });
  await writeFile(join(directory.upper, 'etc/hosts'), 'left');
  await symlink('/etc', join(directory.upper, 'link'));
  if (record !== undefined) writeRecord(directory.record, record);
  return directory.path;
}

/** A process that has lost its parent; `argv` replaces a long sleep. */
export async function strayProcess(
  env: Readonly<Record<string, string>>,
  argv: readonly string[] = ['sleep', '30000'],
): Promise<number> {
  const entries = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const start = '"$@" </dev/null >/dev/null 2>&1 & echo $!';
  return Number(await host('sh', '-c', start, 'sh', 'env', ...entries, ...argv));
}

export async function sleepingUnit(unit: string): Promise<void> {
  const slice = '--slice=nspawn-runner.slice';
  await host('systemd-run', '--quiet', `--unit=${unit}.service`, slice, 'sleep', 'infinity');
}

/** Text of the mark in GitLab Runner's directory. */
export function markOf({ machine }: Place, runner: ProcessIdentity | undefined): string {
  const jobId = machine.slice(machine.lastIndexOf('-') + 1);
  return JSON.stringify({ format: 1, origin: ORIGIN, jobId, runnerProcess: runner });
}

/** GitLab Runner's directory in the place that it makes it in without a TMPDIR of its own. */
export async function makeTempDir(mark?: string): Promise<string> {
  const path = `/tmp/custom-executor${randomInt(2 ** 40)}`;
  await mkdir(path, { mode: 0o700 });
  await writeFile(join(path, 'response.json'), '{"token":"secret"}', { mode: 0o600 });
  if (mark !== undefined) {
    await writeFile(join(path, '.nspawn-runner.json'), mark, { mode: 0o600 });
  }
  return path;
}

/** A pair whose name systemd-nspawn had to cut. */
export async function makeLink(machine: string): Promise<string> {
  const name = `ve-nsr1-${randomBytes(4).toString('hex').slice(0, 7)}`;
  const peer = `vp${randomBytes(6).toString('hex')}`;
  await host('ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', peer);
  await host('ip', 'link', 'property', 'add', 'dev', name, 'altname', `ve-${machine}`);
  return name;
}

type Maker = (place: Place) => Promise<unknown>;

const recordPath = ({ machine }: Place): string => jobDirectory(STATE_DIR, machine).record;

const setAsUser = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];

/** The reaper waits for it. */
export const IGNORES_TERM = 'a process that ignores TERM';

/** Cheap ones; a machine that runs is made beside them. */
const MAKERS: Readonly<Record<string, Maker>> = {
  'a unit that sleeps': ({ machine }) => sleepingUnit(machine),
  'a unit that failed': async ({ machine }) => {
    const args = ['--quiet', '--wait', `--unit=${machine}.service`];
    await execa('systemd-run', [...args, '--slice=nspawn-runner.slice', 'false'], {
      reject: false,
    });
  },
  'a unit whose Runner is dead': async (place) => {
    await makeDirectory(place, deadRecord(place));
    await sleepingUnit(place.machine);
  },
  'a unit with a torn record': async (place) => {
    await makeDirectory(place);
    await writeFile(recordPath(place), '{"format":1,');
    await sleepingUnit(place.machine);
  },
  'a record without a unit': (place) => makeDirectory(place, deadRecord(place)),
  'a directory without a record': (place) => makeDirectory(place),
  'an empty directory': ({ machine }) => mkdir(jobDirectory(STATE_DIR, machine).path),
  'a torn record': async (place) => {
    await makeDirectory(place);
    await writeFile(recordPath(place), '{"format":1,"machi');
  },
  'a foreign record': async (place) => {
    await makeDirectory(place, deadRecord(place));
    await chown(recordPath(place), NOBODY, NOBODY);
  },
  'a copied record': (place) => makeDirectory(place, deadRecord(newPlace())),
  'a symbolic link as a record': async (place) => {
    await makeDirectory(place);
    await symlink('/etc/passwd', recordPath(place));
  },
  'a FIFO as a record': async (place) => {
    await makeDirectory(place);
    await host('mkfifo', recordPath(place));
  },
  'a symbolic link as a directory': ({ machine }) =>
    symlink('/nonexistent', jobDirectory(STATE_DIR, machine).path),
  'a file as a directory': ({ machine }) => writeFile(jobDirectory(STATE_DIR, machine).path, ''),
  'remains of nspawn': async ({ machine }) => {
    for (const kind of ['propagate', 'unix-export']) {
      await mkdir(join(NSPAWN, kind, machine), { recursive: true });
    }
  },
  'remains with a mount': async ({ machine }) => {
    const path = join(NSPAWN, 'unix-export', machine);
    await mkdir(path, { recursive: true });
    await host('mount', '--types=tmpfs', 'left', path);
  },
  'a claim': async (place) => {
    await mkdir(join(STATE_DIR, 'claims'), { recursive: true, mode: 0o700 });
    writeRecord(join(STATE_DIR, 'claims', `${place.machine}.json`), deadRecord(place));
  },
  'a torn claim': async ({ machine }) => {
    await mkdir(join(STATE_DIR, 'claims'), { recursive: true, mode: 0o700 });
    await writeFile(join(STATE_DIR, 'claims', `${machine}.json`), '{');
  },
  'a lock': ({ machine }) => writeFile(join(LOCKS, machine), '4194303\n', { mode: 0o600 }),
  'a temporary directory': (place) => makeTempDir(markOf(place, deadProcess())),
  'a process with the machine’s mark': ({ machine, tag }) =>
    strayProcess({ _CI_JOB_MACHINE: machine, _CI_JOB_TAG: tag }),
  [IGNORES_TERM]: ({ machine }) =>
    strayProcess({ _CI_JOB_MACHINE: machine }, ['sh', '-c', 'trap "" TERM; exec sleep 30000']),
  'a process of another user': ({ machine }) =>
    strayProcess({ _CI_JOB_MACHINE: machine }, [...setAsUser, 'sleep', '30000']),
  'a process with the tag only': async (place) => {
    await makeDirectory(place, deadRecord(place));
    await strayProcess({ _CI_JOB_TAG: place.tag });
  },
  'a link': ({ machine }) => makeLink(machine),
  trash: async ({ machine }) => {
    const path = join(STATE_DIR, 'trash', `${machine}-${randomBytes(4).toString('hex')}`);
    await mkdir(join(path, 'upper/var'), { recursive: true });
    await writeFile(join(path, 'upper/var/file'), 'left');
  },
  'half of a chroot': () =>
    mkdir(join(STATE_DIR, 'chroots', BUILT_CHROOT, `building-${randomBytes(6).toString('hex')}`)),
};

export const SORTS = Object.keys(MAKERS);

/** What is there before the first orphan: shared directories, and a writable layer over the chroots. */
export async function prepareGround(): Promise<() => Promise<void>> {
  for (const name of ['jobs', 'trash', 'claims']) {
    await mkdir(join(STATE_DIR, name), { recursive: true, mode: 0o700 });
  }
  await mkdir(LOCKS, { recursive: true, mode: 0o700 });
  for (const kind of ['propagate', 'unix-export']) {
    await mkdir(join(NSPAWN, kind), { recursive: true });
  }
  const layer = `${STATE_DIR}-layer`;
  for (const part of ['upper', 'work']) await mkdir(join(layer, part), { recursive: true });
  const chroots = join(STATE_DIR, 'chroots');
  const layers = `lowerdir=${chroots},upperdir=${layer}/upper,workdir=${layer}/work`;
  await host('mount', '--types=overlay', `--options=${layers}`, 'orphans', chroots);
  await mkdir(join(chroots, BUILT_CHROOT), { recursive: true });
  await writeFile(join(chroots, BUILT_CHROOT, 'build.lock'), '4194303\n');
  return async () => {
    await host('umount', '--lazy', chroots);
    await host('rm', '--recursive', '--force', layer);
  };
}

/** A machine that runs, whose Runner and prepare stage have died. */
export async function deadMachine(): Promise<DeadMachine> {
  const job = await DriverJob.create();
  const { status, stderr } = await job.prepare();
  if (status !== 0) throw new Error(stderr);
  const path = join(job.directory, 'record.json');
  const record = parseRecord(await readFile(path, 'utf8'), path);
  writeRecord(path, { ...record, runnerProcess: deadProcess() });
  const place = { machine: job.machine, tag: record.tag };
  const mark = join(job.tmpDir, '.nspawn-runner.json');
  await writeFile(mark, markOf(place, deadProcess()), { mode: 0o600 });
  return { ...place, sort: 'a machine', tmpDir: job.tmpDir };
}

export interface Planting {
  /** So many of them are machines that run. */
  readonly machines?: number;
  /** Which sort comes first. */
  readonly from?: number;
  readonly sorts?: readonly string[];
}

/** As many orphans, of every sort by turns. */
export async function plantOrphans(
  count: number,
  { machines = 0, from = 0, sorts = SORTS }: Planting = {},
): Promise<readonly Orphan[]> {
  const orphans: Orphan[] = [];
  for (let made = 0; made < machines; made++) orphans.push(await deadMachine());
  const indices = Array.from({ length: count - machines }, (_, at) => from + at);
  const queue = indices.map((at) => sorts[at % sorts.length]);
  const worker = async (): Promise<void> => {
    for (let sort = queue.shift(); sort !== undefined; sort = queue.shift()) {
      const place = newPlace();
      await MAKERS[sort]?.(place);
      orphans.push({ ...place, sort });
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  return orphans;
}
