/** Whole jobs that leave virtual machines on the host: what cleanup and the reaper make of them. */
import { execa } from 'execa';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { DriverJob, host, STATE_DIR, waitFor } from './driver.ts';
import { explain, reap } from './reap.ts';
import { hasVmPackages } from './vm-packages.ts';
import {
  addUser,
  installStandIn,
  mayInstallStandIns,
  removeStandIns,
  removeUser,
  StandInVirtualBox,
} from './vm-stand-in-host.ts';

const isReady = await hasVmPackages(
  'libvirt-daemon-system',
  'libvirt-clients',
  'qemu-system-x86',
  'qemu-utils',
);
const SETTINGS = 'keep_builds: true\nstop_timeout: 0\n';

let base: string;

function claimOf(job: DriverJob): string {
  return join(STATE_DIR, 'claims', `${job.machine}.json`);
}

/** A directory of the job on the host: its kept builds, where this host can keep builds. */
async function placeOf(job: DriverJob): Promise<string> {
  const text = await readFile(join(job.directory, 'record.json'), 'utf8');
  const { keptBuilds } = JSON.parse(text) as { keptBuilds?: string };
  return keptBuilds ?? join(job.directory, 'upper/vms');
}

async function domains(): Promise<string[]> {
  const list = await host('virsh', '--quiet', 'list', '--all', '--name');
  return list
    .split('\n')
    .map((name) => name.trim())
    .filter((name) => name !== '')
    .sort();
}

async function define(name: string, description: string, disk?: string): Promise<void> {
  const path = join(base, `${name}.xml`);
  const source =
    disk === undefined
      ? ''
      : `<disk type='file'><driver type='qcow2'/><source file='${disk}'/><target dev='vda' bus='virtio'/></disk>`;
  await writeFile(
    path,
    `<domain type='qemu'><name>${name}</name><memory unit='MiB'>32</memory><description>${description}</description>
     <os><type arch='x86_64' machine='pc'>hvm</type></os><devices>${source}</devices></domain>`,
  );
  await host('virsh', 'define', path);
  if (disk !== undefined) return;
  await host('virsh', 'start', name);
}

/** A running domain with the job's mark, one that is off with a disk in its builds, and a person's. */
async function leaveDomains(job: DriverJob): Promise<string> {
  const builds = await placeOf(job);
  await mkdir(builds, { recursive: true });
  const disk = join(builds, 'disk.qcow2');
  await host('qemu-img', 'create', '-q', '-f', 'qcow2', disk, '1M');
  await define('marked', `test\n_CI_JOB_MACHINE=${job.machine}`);
  await define('filed', '', disk);
  await define('person', `like _CI_JOB_MACHINE=${job.machine}`);
  return disk;
}

describe.skipIf(!isReady)('virtual machines of whole jobs', () => {
  beforeAll(async () => {
    await execa('systemctl', ['start', 'libvirtd.socket']);
    if (!existsSync('/dev/kvm')) return;
    await execa('chgrp', ['kvm', '/dev/kvm']);
    await execa('chmod', ['0660', '/dev/kvm']);
  });

  beforeEach(async () => {
    base = await mkdtemp('/var/tmp/vm-reap-');
    await chmod(base, 0o755);
  });

  afterEach(async () => {
    for (const name of await domains()) {
      await execa('virsh', ['destroy', name], { reject: false });
      await execa('virsh', ['undefine', name], { reject: false });
    }
    await rm(base, { recursive: true, force: true });
  });

  it('go with the cleanup, which is silent about it', async () => {
    const job = await DriverJob.create({ settings: SETTINGS });
    expect((await job.prepare()).status).toBe(0);
    expect(existsSync(claimOf(job))).toBe(true);
    const disk = await leaveDomains(job);
    const cleanup = await job.cleanup();
    expect([cleanup.status, cleanup.stderr]).toEqual([0, '']);
    expect(await domains()).toEqual(['person']);
    expect(existsSync(disk)).toBe(false);
    expect(existsSync(claimOf(job))).toBe(false);
    await rm(dirname(disk), { recursive: true, force: true });
    await job.dispose();
  });

  it('go with the reaper when systemd alone has taken the machine', async () => {
    const job = await DriverJob.create({ settings: SETTINGS });
    const living = await DriverJob.create({ settings: SETTINGS });
    for (const each of [job, living]) expect((await each.prepare()).status).toBe(0);
    const disk = await leaveDomains(job);
    await define('theirs', `_CI_JOB_MACHINE=${living.machine}`);
    await host('systemctl', 'kill', '--signal=KILL', job.unit);
    await waitFor('systemd', () => !existsSync(job.directory));
    expect(await domains()).toHaveLength(4);

    const dry = await reap({ dryRun: true });
    const planned = dry.about(job.machine).filter(({ kind }) => kind === 'virtual-machine');
    expect(planned.length, explain(dry.report.items)).toBeGreaterThan(0);
    expect(await domains()).toHaveLength(4);

    const { status, report, about } = await reap();
    expect(status, explain(report.items)).toBe(0);
    const items = about(job.machine).filter(({ kind }) => kind === 'virtual-machine');
    expect(items.map(({ result }) => result)).toEqual(items.map(() => 'removed'));
    expect(await domains()).toEqual(['person', 'theirs']);
    expect(existsSync(disk)).toBe(false);
    expect(existsSync(claimOf(job))).toBe(false);
    expect(existsSync(claimOf(living))).toBe(true);
    await living.cleanup();
    expect(await domains()).toEqual(['person']);
    await rm(dirname(disk), { recursive: true, force: true });
    for (const each of [job, living]) await each.dispose();
  });

  it('that cannot be destroyed keep their claim for the next time', async () => {
    const job = await DriverJob.create({ settings: SETTINGS });
    expect((await job.prepare()).status).toBe(0);
    await define('marked', `_CI_JOB_MACHINE=${job.machine}`);
    await host(
      'systemctl',
      'stop',
      'libvirtd.socket',
      'libvirtd-ro.socket',
      'libvirtd-admin.socket',
      'libvirtd.service',
    );
    const cleanup = await job.cleanup();
    expect(cleanup.stderr).not.toBe('');
    expect(existsSync(claimOf(job))).toBe(true);
    await host('systemctl', 'start', 'libvirtd.socket');
    await reap();
    expect(await domains()).toEqual([]);
    expect(existsSync(claimOf(job))).toBe(false);
    await job.dispose();
  });
});

describe.skipIf(!mayInstallStandIns())('VirtualBox machines of whole jobs', () => {
  it('of the users in the settings go with the cleanup, in whatever state', async () => {
    for (const program of ['VBoxManage', 'vagrant']) await installStandIn(program);
    onTestFinished(removeStandIns);
    const user = await addUser('vmbuilder');
    onTestFinished(() => removeUser(user.name));
    const settings = `virtual_machine_users: [${user.name}]\nstop_timeout: 0\n`;
    const job = await DriverJob.create({ settings });
    expect((await job.prepare()).status).toBe(0);
    const vbox = new StandInVirtualBox(user);
    const description = `_CI_JOB_MACHINE=${job.machine}`;
    for (const state of ['saved', 'poweroff', 'aborted']) {
      await vbox.machine(state, { state, description });
    }
    const running = await vbox.machine('running', { description });
    vbox.run(running, { _CI_JOB_MACHINE: job.machine });
    await vbox.machine('person');
    await vbox.save();
    const cleanup = await job.cleanup();
    expect([cleanup.status, cleanup.stderr]).toEqual([0, '']);
    expect(await vbox.names()).toEqual(['person']);
    expect(existsSync(claimOf(job))).toBe(false);
    await job.dispose();
  });
});
