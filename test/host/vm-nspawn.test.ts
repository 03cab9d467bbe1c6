/** Machines that a job registered with the host's systemd-machined. */
import { execa } from 'execa';
import { mkdir, mkdtemp, readdir, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { VmClaim } from '../../src/vm/virtual-machine.ts';
import {
  destroyVmsOfJob,
  installedKinds,
  listVirtualMachines,
} from '../../src/vm/virtual-machines.ts';
import { waitFor } from './driver.ts';

const MACHINE = 'nsr1-aaaaaaaa-1';

let base: string;
let job: string;
let dead: VmClaim;

/** A tree with the host's /usr, in which `sleep` is all that runs. */
async function tree(path: string): Promise<string> {
  await mkdir(join(path, 'usr'), { recursive: true });
  await mkdir(join(path, 'etc'));
  await writeFile(join(path, 'etc/os-release'), 'ID=test\n');
  for (const name of ['bin', 'sbin', 'lib', 'lib64'])
    await symlink(`usr/${name}`, join(path, name));
  return path;
}

let started: { end: () => Promise<void> }[] = [];

/** `program` ends with systemd-nspawn and may have options of it. */
async function startMachine(
  name: string,
  directory: string,
  env: Readonly<Record<string, string>> = {},
  program: readonly string[] = ['systemd-nspawn'],
): Promise<void> {
  const options = [`--machine=${name}`, '--bind-ro=/usr', '--as-pid2', '--quiet'];
  const nspawn = [`--directory=${directory}`, ...options, '--', '/usr/bin/sleep', '1000'];
  const command = [...program, ...nspawn];
  const child = execa('env', command, {
    env,
    stdio: 'ignore',
    detached: true,
    cleanup: false,
    reject: false,
  });
  const end = async (): Promise<void> => {
    await execa('machinectl', ['terminate', name], { reject: false });
    await child;
  };
  started.push({ end });
  await waitFor(name, async () => (await machines()).includes(name));
}

async function machines(): Promise<string[]> {
  return readdir('/run/systemd/machines');
}

function destroyOfJob(): ReturnType<typeof destroyVmsOfJob> {
  return destroyVmsOfJob({ claim: dead, others: [], kinds: ['nspawn'], users: [] });
}

describe('machines of machined', () => {
  beforeEach(async () => {
    base = await realpath(await mkdtemp('/var/tmp/vm-nspawn-'));
    job = join(base, 'builds/job');
    await mkdir(job, { recursive: true });
    dead = { machine: MACHINE, tag: 'runner-1-project-2-concurrent-0-1', directories: [job] };
  });

  afterEach(async () => {
    for (const { end } of started) await end();
    started = [];
    await rm(base, { recursive: true, force: true });
  });

  it('terminates one by its root directory and one by the mark of its nspawn', async () => {
    await startMachine('job-nested', await tree(join(job, 'tree')));
    await startMachine('job-marked', await tree(join(base, 'tree')), { _CI_JOB_MACHINE: MACHINE });
    await startMachine('person', await tree(join(base, 'builds/job2')), {
      _CI_JOB_MACHINE: `${MACHINE}1`,
    });
    expect(await installedKinds(['nspawn'])).toEqual(['nspawn']);
    const result = await destroyOfJob();
    expect(result.failures).toEqual([]);
    expect(result.removed.map(({ vm }) => vm.name).sort()).toEqual(['job-marked', 'job-nested']);
    const left = await machines();
    expect(left).toContain('person');
    expect(left).not.toContain('job-nested');
    expect(left).not.toContain('job-marked');
  });

  it('is found where systemd-machined would wait for an os-release that is a FIFO', async () => {
    const path = await tree(join(base, 'tree'));
    await startMachine('person', path);
    await startMachine('job-nested', await tree(join(job, 'tree')));
    for (const each of [path, join(job, 'tree')]) {
      await rm(join(each, 'etc/os-release'));
      await execa('mkfifo', [join(each, 'etc/os-release')]);
    }
    const since = performance.now();
    const { removed, failures } = await destroyOfJob();
    expect(failures).toEqual([]);
    expect(removed.map(({ vm }) => vm.name)).toEqual(['job-nested']);
    expect(performance.now() - since).toBeLessThan(20_000);
    expect(await machines()).toContain('person');
  });

  it("takes neither our own machines nor what is in our slice for a job's", async () => {
    const name = `nsr1-aaaaaaaa-${process.pid}`;
    const ours = ['systemd-run', '--quiet', '--wait', '--collect', `--unit=${name}.service`];
    const options = ['systemd-nspawn', '--keep-unit'];
    await startMachine(name, await tree(join(job, 'ours')), {}, [...ours, ...options]);
    const unit = ['systemd-run', '--quiet', '--wait', '--collect', '--slice=nspawn-runner.slice'];
    const mark = `--setenv=_CI_JOB_MACHINE=${MACHINE}`;
    await startMachine('in-slice', await tree(join(job, 'in')), {}, [...unit, mark, ...options]);
    // Its leader is in a scope of machine.slice; what started it is not.
    const alone = [...unit, mark, 'systemd-nspawn'];
    await startMachine('scoped', await tree(join(job, 'scoped')), {}, alone);
    const context = { users: [], signal: undefined, commandTimeoutSec: 30 };
    const { found, failures } = await listVirtualMachines(['nspawn'], context);
    expect(failures).toEqual([]);
    expect(found).toEqual([]);
    expect((await destroyOfJob()).removed).toEqual([]);
  });
});
