/** QEMU that somebody started by hand: real, in software emulation, without a guest system. */
import { execa } from 'execa';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { VmClaim } from '../../src/vm/virtual-machine.ts';
import { destroyVmsOfJob, installedKinds } from '../../src/vm/virtual-machines.ts';
import { host, waitFor } from './driver.ts';
import { hasVmPackages } from './vm-packages.ts';

const isReady = await hasVmPackages('qemu-system-x86', 'qemu-utils');
const TAG = 'runner-1-project-2-concurrent-0-1';

let base: string;
let job: string;
let dead: VmClaim;

interface Started {
  readonly pid: number;
  readonly isAlive: () => boolean;
}

/** `args` after a machine without a guest. */
async function startQemu(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  wrapper: readonly string[] = [],
): Promise<Started> {
  const pidFile = join(base, `${Math.random()}.pid`);
  const machine = ['-accel', 'tcg', '-m', '32', '-display', 'none', '-nodefaults', '-S'];
  const command = [...wrapper, 'qemu-system-x86_64', ...machine, '-pidfile', pidFile, ...args];
  const [program = '', ...rest] = command;
  const child = execa(program, rest, {
    env,
    cwd: job,
    stdio: 'ignore',
    detached: true,
    cleanup: false,
    reject: false,
  });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  await waitFor('QEMU', () => existsSync(pidFile));
  await waitFor('its number', async () => /^\d+\s*$/.test(await readFile(pidFile, 'utf8')));
  const pid = Number(await readFile(pidFile, 'utf8'));
  // Which QEMU 7 writes before it opens its disks.
  const hasDisk = args.some((arg) => /\.(qcow2|iso|comma)/.test(arg));
  if (hasDisk) await waitFor('its disk', async () => (await openFiles(pid)).includes(job));
  return { pid, isAlive: () => existsSync(`/proc/${pid}/cmdline`) };
}

async function openFiles(pid: number): Promise<string> {
  return host('find', `/proc/${pid}/fd`, '-printf', '%l\\n');
}

async function disk(path: string): Promise<string> {
  await execa('qemu-img', ['create', '-q', '-f', 'qcow2', path, '1M']);
  return path;
}

function destroyOfJob(others: readonly VmClaim[] = []): ReturnType<typeof destroyVmsOfJob> {
  return destroyVmsOfJob({ claim: dead, others, kinds: ['qemu'], users: [] });
}

describe.skipIf(!isReady)('processes of QEMU', () => {
  beforeEach(async () => {
    base = await realpath(await mkdtemp('/var/tmp/vm-qemu-'));
    job = join(base, 'builds/job');
    await mkdir(job, { recursive: true });
    await mkdir(`${job}2`);
    dead = { machine: 'nsr1-aaaaaaaa-1', tag: TAG, directories: [job] };
  });

  afterEach(async () => {
    await rm(base, { recursive: true, force: true });
  });

  it('is there', async () => {
    expect(await installedKinds(['qemu'])).toEqual(['qemu']);
  });

  it('ends one by its mark, exactly, and one by a disk that it writes to', async () => {
    const tagged = await startQemu([], { _CI_JOB_TAG: TAG });
    const named = await startQemu(['-name', 'guest=x,process=y'], {
      _CI_JOB_MACHINE: dead.machine,
    });
    // A path as a person types it, and the form that libvirt uses.
    await disk(join(job, 'a.qcow2'));
    const relative = await startQemu(['-drive', 'file=a.qcow2,if=virtio']);
    const b = await disk(join(job, 'b,with=comma.qcow2'));
    const node = JSON.stringify({
      driver: 'qcow2',
      'node-name': 'b',
      file: { driver: 'file', filename: b },
    });
    const json = await startQemu(['-blockdev', node]);
    const deleted = await startQemu([
      '-drive',
      `file=${await disk(join(job, 'c.qcow2'))},if=virtio`,
    ]);
    await rm(join(job, 'c.qcow2'));
    const victims = [tagged, named, relative, json, deleted];

    const longer = await startQemu([], { _CI_JOB_TAG: `${TAG}1`, OTHER: `_CI_JOB_TAG=${TAG}` });
    const reading = await startQemu([
      '-drive',
      `file=${await disk(join(job, 'd.iso'))},media=cdrom`,
    ]);
    const beside = await startQemu(['-drive', `file=${await disk(`${job}2/e.qcow2`)},if=virtio`]);
    const kept = [longer, reading, beside];

    const result = await destroyOfJob();
    expect(result.failures).toEqual([]);
    expect(result.removed).toHaveLength(5);
    // Until the test has noticed their end they are still in /proc.
    await expect.poll(() => victims.filter(({ isAlive }) => isAlive())).toEqual([]);
    expect(kept.filter(({ isAlive }) => !isAlive())).toEqual([]);
  });

  it('kills one that does not listen to TERM', async () => {
    // A stopped process gets TERM when it goes on, and KILL at once.
    const stopped = await startQemu([], { _CI_JOB_TAG: TAG });
    process.kill(stopped.pid, 'SIGSTOP');
    expect((await destroyOfJob()).failures).toEqual([]);
    await expect.poll(() => stopped.isAlive()).toBe(false);
  });

  it('leaves one alone that a living job has as well', async () => {
    const shared = await startQemu(
      ['-drive', `file=${await disk(join(job, 'a.qcow2'))},if=virtio`],
      {
        _CI_JOB_MACHINE: 'nsr1-aaaaaaaa-2',
      },
    );
    const living = { machine: 'nsr1-aaaaaaaa-2', tag: undefined, directories: [] };
    expect((await destroyOfJob([living])).removed).toEqual([]);
    expect(shared.isAlive()).toBe(true);
  });

  it("leaves one alone that runs in a job's machine, which ends its own", async () => {
    const unit = `nsr1-test-${process.pid}.service`;
    const wrapper = [
      'systemd-run',
      '--quiet',
      '--wait',
      '--slice=nspawn-runner.slice',
      `--unit=${unit}`,
    ];
    const inside = await startQemu([], {}, [...wrapper, `--setenv=_CI_JOB_TAG=${TAG}`]);
    onTestFinished(() => host('systemctl', 'stop', unit).then(() => undefined));
    expect((await destroyOfJob()).removed).toEqual([]);
    expect(inside.isAlive()).toBe(true);
  });
});
