/** A whole job of the built program on the host under test, called as GitLab Runner calls it. */
import { execa } from 'execa';
import { randomInt } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { originOf } from '../../src/gitlab/job.ts';
import { cachePath } from '../../src/machine/kept-directories.ts';
import { machineName } from '../../src/machine/names.ts';
import {
  responseOf,
  startJob,
  type EmulatedJob,
  type EmulatedResult,
  type StartedJob,
} from '../runner-emulator.ts';
import { BUNDLE, leftovers, STATE_DIR } from './driver.ts';

export interface HostJobOptions extends EmulatedJob {
  /** Text of settings.yaml. */
  readonly settings?: string;
  readonly project?: number;
  /** The cache stays for a later job of the project, which removes it. */
  readonly keepsCache?: boolean;
  /** Its cleanup is cut off on purpose; the test then calls `cleanUpByHand`. */
  readonly leavesMachine?: boolean;
  /** Command-line arguments for each stage, besides `--settings`. */
  readonly args?: readonly string[];
}

export interface HostJob extends Omit<StartedJob, 'result'> {
  readonly id: string;
  readonly machine: string;
  /** The job's directory on the host. */
  readonly directory: string;
  /** The project's cache on the host. */
  readonly cache: string;
  /** Where GitLab Runner makes its directories for this job. */
  readonly tmpRoot: string;
  /** The result, once nothing is left of the job on the host. */
  readonly result: Promise<EmulatedResult>;
}

/** A project number that no other test has. */
export function newProject(): number {
  return randomInt(1_000_000, 2 ** 31);
}

/** Runs one job to its end; whatever it leaves on the host fails the test. */
export async function runHostJob(options: HostJobOptions): Promise<EmulatedResult> {
  return (await startHostJob(options)).result;
}

export async function startHostJob(options: HostJobOptions): Promise<HostJob> {
  const tmpRoot = await mkdtemp(join(tmpdir(), 'host-job-'));
  const settings = join(tmpRoot, 'settings.yaml');
  await writeFile(settings, options.settings ?? '{}\n');
  const job = identified(options, options.project ?? newProject());
  const place = placeOf(job);
  const started = startJob({
    tmpRoot,
    driverArgs: [`--settings=${settings}`, ...(options.args ?? [])],
    ...job,
  });
  const end = async (): Promise<EmulatedResult> => {
    const result = await started.result;
    // A runner that was killed leaves all it had; the test has the rest in hand.
    const isUnclean = result.status === 'vanished' || options.leavesMachine === true;
    if (!isUnclean) await proveGone(place, tmpRoot);
    if (options.keepsCache !== true) await rm(place.cache, { recursive: true, force: true });
    return result;
  };
  return { ...started, ...place, id: String(job.id), tmpRoot, result: end() };
}

/** The cleanup that a person calls, who knows no more than the job's number; and it is the last one. */
export async function cleanUpByHand(job: HostJob): Promise<void> {
  await execa(process.execPath, [BUNDLE, 'cleanup', `--id=${job.id}`], {
    env: { PATH: process.env['PATH'] ?? '', CUSTOM_ENV_CI_SERVER_HOST: 'gitlab.example.com' },
    extendEnv: false,
    stdin: 'ignore',
  });
  const left = await leftovers(job);
  if (left.length > 0) throw new Error(`Left of ${job.machine}: ${left.join(', ')}`);
}

/** Throws unless the host has nothing of the job but what outlives it on purpose. */
export async function proveGone(
  place: { readonly machine: string; readonly directory: string },
  tmpRoot: string,
): Promise<void> {
  const left = await leftovers(place);
  const temporary = (await readdir(tmpRoot)).filter((name) => name.startsWith('custom-executor'));
  await rm(tmpRoot, { recursive: true, force: true });
  left.push(...temporary);
  if (left.length > 0) throw new Error(`Left of ${place.machine}: ${left.join(', ')}`);
}

function identified(options: HostJobOptions, project: number): EmulatedJob {
  const job = { image: 'debian-12', id: randomInt(1_000_000, 2 ** 31), ...options };
  const { job_info: info } = responseOf(job);
  return {
    ...job,
    variables: { CI_PROJECT_ID: String(project), ...job.variables },
    response: { job_info: { ...info, project_id: project }, ...job.response },
  };
}

function placeOf(job: EmulatedJob): { machine: string; directory: string; cache: string } {
  const { id, git_info: git, job_info: info } = responseOf(job);
  const identity = { origin: originOf(git.repo_url, info.project_full_path), id: String(id) };
  const machine = machineName(identity);
  return {
    machine,
    directory: join(STATE_DIR, 'jobs', machine),
    cache: cachePath(STATE_DIR, { ...identity, projectId: String(info.project_id) }),
  };
}
