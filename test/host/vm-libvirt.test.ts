/**
 * libvirt and QEMU as Debian ships them, in software emulation: no guest system is needed to be
 * started, stopped and destroyed. In a lab host the packages are installed first, elsewhere they
 * must be there.
 */
import { execa } from 'execa';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import {
  chmod,
  mkdir,
  mkdtemp,
  readFile,
  realpath,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { VmClaim } from '../../src/vm/virtual-machine.ts';
import {
  destroyVmsOfJob,
  installedKinds,
  listVirtualMachines,
} from '../../src/vm/virtual-machines.ts';
import { hasVmPackages } from './vm-packages.ts';

const isReady = await hasVmPackages(
  'libvirt-daemon-system',
  'libvirt-clients',
  'qemu-system-x86',
  'qemu-utils',
);

interface Places {
  readonly base: string;
  readonly job: string;
  readonly other: string;
  readonly person: string;
}

let places: Places;
let dead: VmClaim;
let living: VmClaim;

async function virsh(...args: string[]): Promise<string> {
  const { stdout } = await execa('virsh', ['--connect=qemu:///system', '--quiet', ...args]);
  return stdout.trim();
}

async function domains(): Promise<string[]> {
  return (await virsh('list', '--all', '--name'))
    .split('\n')
    .filter((name) => name !== '')
    .sort();
}

async function disk(path: string): Promise<string> {
  await execa('qemu-img', ['create', '-q', '-f', 'qcow2', path, '1M']);
  return path;
}

interface TestDomain {
  readonly name: string;
  readonly source?: string;
  readonly description?: string;
  /** Elements of `devices`. */
  readonly devices?: string;
}

async function domainFile(domain: TestDomain): Promise<string> {
  const path = join(places.base, `${domain.name}.xml`);
  const source =
    domain.source === undefined
      ? ''
      : `<disk type='file'><driver name='qemu' type='qcow2'/><source file="${domain.source}"/>
         <target dev='vda' bus='virtio'/></disk>`;
  await writeFile(
    path,
    `<domain type='qemu'><name>${domain.name}</name><memory unit='MiB'>32</memory>
     <description>${domain.description ?? ''}</description>
     <os><type arch='x86_64' machine='pc'>hvm</type></os>
     <devices>${source}${domain.devices ?? ''}</devices></domain>`,
  );
  return path;
}

async function define(domain: TestDomain): Promise<void> {
  await virsh('define', await domainFile(domain));
}

function destroyOfJob(): ReturnType<typeof destroyVmsOfJob> {
  return destroyVmsOfJob({ claim: dead, others: [living], kinds: ['libvirt', 'qemu'], users: [] });
}

function nameOf(kind: string): string {
  return `${kind}-${randomUUID().slice(0, 8)}`;
}

describe.skipIf(!isReady)('domains of libvirt', () => {
  beforeAll(async () => {
    await execa('systemctl', ['start', 'libvirtd.socket']);
    if (process.env['NSPAWN_RUNNER_TEST_HOST'] !== 'lab' || !existsSync('/dev/kvm')) return;
    // As udev does it, which a lab host has not: else libvirt 9 looks at QEMU anew for each domain.
    await execa('chgrp', ['kvm', '/dev/kvm']);
    await execa('chmod', ['0660', '/dev/kvm']);
  });

  beforeEach(async () => {
    const base = await realpath(await mkdtemp('/var/tmp/vm-libvirt-'));
    // QEMU runs as a user of its own.
    await chmod(base, 0o755);
    places = {
      base,
      job: join(base, 'builds/job'),
      // A name that begins like the job's is another directory all the same.
      other: join(base, 'builds/job2'),
      person: join(base, 'person'),
    };
    for (const path of [places.job, places.other, places.person]) {
      await mkdir(path, { recursive: true });
    }
    dead = {
      machine: 'nsr1-aaaaaaaa-1',
      tag: 'runner-1-project-2-concurrent-0-1',
      directories: [places.job],
    };
    living = {
      machine: 'nsr1-aaaaaaaa-11',
      tag: 'runner-1-project-2-concurrent-0-11',
      directories: [places.other],
    };
  });

  afterEach(async () => {
    for (const name of await domains()) {
      await execa('virsh', ['destroy', `--domain=${name}`], { reject: false });
      await execa('virsh', ['undefine', `--domain=${name}`, '--managed-save', '--nvram'], {
        reject: false,
      });
    }
    for (const pool of (await virsh('pool-list', '--all', '--name')).split('\n')) {
      if (pool.trim() === '') continue;
      await execa('virsh', ['pool-destroy', pool.trim()], { reject: false });
      await execa('virsh', ['pool-undefine', pool.trim()], { reject: false });
    }
    await rm(places.base, { recursive: true, force: true });
  });

  it('is there', async () => {
    expect(await installedKinds(['libvirt'])).toEqual(['libvirt']);
  });

  it('destroys running, shut off, saved and transient ones of the job, and their disks', async () => {
    const disks: string[] = [];
    for (const kind of ['running', 'off', 'saved', 'transient', 'paused']) {
      const source = await disk(join(places.job, `${kind} & disk.qcow2`.replace('&', 'of')));
      disks.push(source);
      const name = nameOf(kind);
      if (kind === 'transient') {
        await virsh('create', await domainFile({ name, source }));
        continue;
      }
      await define({ name, source });
      if (kind === 'off') continue;
      await virsh('start', `--domain=${name}`);
      if (kind === 'saved') await virsh('managedsave', `--domain=${name}`);
      if (kind === 'paused') await virsh('suspend', `--domain=${name}`);
    }
    const result = await destroyOfJob();
    expect(result.failures).toEqual([]);
    expect(result.removed).toHaveLength(5);
    expect(await domains()).toEqual([]);
    expect(disks.filter((path) => existsSync(path))).toEqual([]);
  });

  it('leaves alone what a person or a living job has', async () => {
    const mine = await disk(join(places.person, "it's mine.qcow2"));
    const theirs = await disk(join(places.other, 'disk.qcow2'));
    const image = await disk(join(places.job, 'installer.iso'));
    const cdrom = `<disk type='file' device='cdrom'><source file='${image}'/><target dev='hda'/><readonly/></disk>`;
    await define({ name: 'person', source: mine, devices: cdrom });
    await define({
      name: 'person-off',
      description: `about ${dead.tag ?? ''} and _CI_JOB_TAG=${dead.tag ?? ''}1`,
    });
    await define({ name: 'other-job', source: theirs });
    await define({
      name: 'shared',
      source: await disk(join(places.job, 'x.qcow2')),
      description: `_CI_JOB_MACHINE=${living.machine}`,
    });
    await virsh('start', '--domain=person');
    const result = await destroyOfJob();
    expect(result).toEqual({ removed: [], failures: [], undecided: [] });
    expect(await domains()).toEqual(['other-job', 'person', 'person-off', 'shared']);
    expect(await virsh('domstate', '--domain=person')).toBe('running');
  });

  it('knows a domain by a line of its description or metadata', async () => {
    await define({
      name: 'by-tag',
      description: `Test machine\n  _CI_JOB_TAG=${dead.tag ?? ''}\nfor all`,
    });
    await define({ name: 'by-machine', description: `_CI_JOB_MACHINE=${dead.machine}` });
    await define({ name: 'imitated', description: `&lt;source file='${places.job}/x'/&gt;` });
    expect((await destroyOfJob()).removed.map(({ vm }) => vm.name).sort()).toEqual([
      'by-machine',
      'by-tag',
    ]);
    expect(await domains()).toEqual(['imitated']);
  });

  it('deletes neither a disk elsewhere nor one that another domain has', async () => {
    const elsewhere = await disk(join(places.person, 'golden.qcow2'));
    await symlink(elsewhere, join(places.job, 'link.qcow2'));
    const shared = await disk(join(places.job, 'shared.qcow2'));
    await define({ name: 'by-link', source: join(places.job, 'link.qcow2') });
    await define({
      name: 'by-tag',
      source: elsewhere,
      description: `_CI_JOB_TAG=${dead.tag ?? ''}`,
    });
    await define({ name: 'sharing', source: shared });
    const cdrom = `<disk type='file' device='cdrom'><source file='${shared}'/><target dev='hda'/><readonly/></disk>`;
    await define({ name: 'person', devices: cdrom });
    const result = await destroyOfJob();
    expect(result.failures).toEqual([]);
    expect(await domains()).toEqual(['person']);
    expect(existsSync(elsewhere)).toBe(true);
    expect(existsSync(shared)).toBe(true);
  });

  it("stops and forgets the job's storage pools and takes volumes as evidence", async () => {
    await mkdir(join(places.job, 'pool'));
    await virsh('pool-create-as', 'job-pool', 'dir', `--target=${places.job}/pool`);
    await virsh('pool-define-as', 'job-off', 'dir', `--target=${places.job}`);
    await virsh('pool-create-as', 'other-pool', 'dir', `--target=${places.other}`);
    await virsh('vol-create-as', 'job-pool', 'vol.qcow2', '1M', '--format=qcow2');
    const volume = `<disk type='volume'><driver name='qemu' type='qcow2'/>
      <source pool='job-pool' volume='vol.qcow2'/><target dev='vda'/></disk>`;
    await define({ name: 'with-volume', devices: volume });
    await virsh('start', '--domain=with-volume');
    const result = await destroyOfJob();
    expect(result.failures).toEqual([]);
    expect(await domains()).toEqual([]);
    expect((await virsh('pool-list', '--all', '--name')).split('\n').map((p) => p.trim())).toEqual([
      'other-pool',
    ]);
    expect(existsSync(join(places.job, 'pool/vol.qcow2'))).toBe(false);
  });

  it('takes a domain with snapshots, which libvirt does not undefine by itself', async () => {
    await define({ name: 'snapshots', source: await disk(join(places.job, 'disk.qcow2')) });
    await virsh('snapshot-create-as', '--domain=snapshots', '--name=one');
    expect((await destroyOfJob()).failures).toEqual([]);
    expect(await domains()).toEqual([]);
  });

  it('removes firmware variables of the job, and nobody else’s', async () => {
    const loader = join(places.person, 'firmware.fd');
    const mine = join(places.person, 'vars.fd');
    const own = join(places.job, 'vars.fd');
    for (const path of [loader, mine, own]) await writeFile(path, '');
    for (const [name, nvram] of [
      ['theirs', mine],
      ['own', own],
    ] as const) {
      const path = await domainFile({ name, description: `_CI_JOB_MACHINE=${dead.machine}` });
      const firmware = `<loader readonly='yes' type='pflash'>${loader}</loader><nvram>${nvram}</nvram></os><features><acpi/></features>`;
      await writeFile(path, (await readFile(path, 'utf8')).replace('</os>', firmware));
      await virsh('define', path);
    }
    expect((await destroyOfJob()).failures).toEqual([]);
    expect(await domains()).toEqual([]);
    expect([loader, mine, own].map((path) => existsSync(path))).toEqual([true, true, false]);
  });

  it('keeps a pool that another’s domain uses', async () => {
    await virsh('pool-create-as', 'job-pool', 'dir', `--target=${places.job}`);
    await virsh('vol-create-as', 'job-pool', 'vol.qcow2', '1M', '--format=qcow2');
    const devices = `<disk type='volume'><source pool='job-pool' volume='vol.qcow2'/><target dev='vda'/></disk>`;
    await define({ name: 'theirs', description: `_CI_JOB_MACHINE=${living.machine}`, devices });
    expect((await destroyOfJob()).removed).toEqual([]);
    expect(await virsh('pool-list', '--all', '--name')).toContain('job-pool');
    expect(existsSync(join(places.job, 'vol.qcow2'))).toBe(true);
  });

  it('believes no process that only looks like a domain’s', async () => {
    await define({ name: 'person' });
    await virsh('start', '--domain=person');
    const uuid = await virsh('domuuid', '--domain=person');
    const child = execa(
      process.execPath,
      ['-e', 'setInterval(() => {}, 1e6)', '--', '-uuid', uuid],
      {
        argv0: 'qemu-system-x86_64',
        env: { _CI_JOB_MACHINE: dead.machine },
        cleanup: false,
        reject: false,
      },
    );
    onTestFinished(() => {
      child.kill('SIGKILL');
    });
    expect((await destroyOfJob()).removed.map(({ vm }) => vm.kind)).toEqual(['qemu']);
    expect(await virsh('domstate', '--domain=person')).toBe('running');
  });

  it('believes the environment that a domain gives its process', async () => {
    const path = await domainFile({ name: 'by-environment' });
    const xml = (await readFile(path, 'utf8'))
      .replace('<domain ', "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' ")
      .replace(
        '</domain>',
        `<qemu:commandline><qemu:env name='_CI_JOB_TAG' value='${dead.tag ?? ''}'/></qemu:commandline></domain>`,
      );
    await writeFile(path, xml);
    await virsh('create', path);
    expect((await destroyOfJob()).removed.map(({ vm }) => vm.kind)).toEqual(['libvirt']);
    expect(await domains()).toEqual([]);
  });

  it('says what it cannot do, in bounded time', async () => {
    const controller = new AbortController();
    controller.abort();
    const { found, failures } = await listVirtualMachines(['libvirt'], {
      users: [],
      signal: controller.signal,
      commandTimeoutSec: 5,
    });
    expect(found).toEqual([]);
    expect(failures).toHaveLength(1);
  });
});
