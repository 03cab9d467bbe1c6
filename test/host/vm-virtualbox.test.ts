/** VirtualBox, played by a stand-in that answers as its manual and its source say. */
import { execa } from 'execa';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, chown, copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  onTestFinished,
} from 'vitest';
import type { VmClaim } from '../../src/vm/virtual-machine.ts';
import { destroyVmsOfJob, installedKinds } from '../../src/vm/virtual-machines.ts';
import { isVirtualBoxProcess } from '../../src/vm/virtualbox-programs.ts';
import {
  addUser,
  installStandIn,
  mayInstallStandIns,
  networksLeft,
  removeNetworks,
  removeStandIns,
  removeUser,
  setNetworks,
  StandInVirtualBox,
} from './vm-stand-in-host.ts';

const TAG = 'runner-1-project-2-concurrent-0-1';
const MACHINE = 'nsr1-aaaaaaaa-1';

let base: string;
let job: string;
let other: string;
let vbox: StandInVirtualBox;
let dead: VmClaim;
let living: VmClaim;

function destroyOfJob(
  others: readonly VmClaim[] = [living],
  more: { commandTimeoutSec?: number; users?: string[] } = {},
): ReturnType<typeof destroyVmsOfJob> {
  return destroyVmsOfJob({
    claim: dead,
    others,
    kinds: ['virtualbox'],
    users: ['vmbuilder', 'nobody-of-this-name'],
    ...more,
  });
}

describe.skipIf(!mayInstallStandIns())('machines of VirtualBox', () => {
  beforeAll(async () => {
    await installStandIn('VBoxManage');
  });

  afterAll(removeStandIns);

  beforeEach(async () => {
    base = await mkdtemp('/var/tmp/vm-virtualbox-');
    await chmod(base, 0o755);
    [job, other] = [join(base, 'builds/job'), join(base, 'builds/job2')];
    dead = { machine: MACHINE, tag: TAG, directories: [job] };
    living = { machine: 'nsr1-aaaaaaaa-11', tag: `${TAG}1`, directories: [other] };
    const user = await addUser('vmbuilder');
    vbox = new StandInVirtualBox(user);
    for (const path of [job, other]) {
      await mkdir(path, { recursive: true });
      await chown(path, user.uid, -1);
    }
  });

  afterEach(async () => {
    await rm(base, { recursive: true, force: true });
    await removeNetworks();
    await removeUser('vmbuilder');
    await removeUser('vmperson');
  });

  it('is there', async () => {
    expect(await installedKinds(['virtualbox'])).toEqual(['virtualbox']);
  });

  it.each(['poweroff', 'saved', 'aborted', 'aborted-saved', 'teleported'])(
    'destroys one that is %s, with its disk and folder',
    async (state) => {
      const disk = await vbox.disk(join(job, 'vms/test/test.vdi'));
      await vbox.machine('test', { in: join(job, 'vms'), state, disks: [disk.id] });
      await vbox.machine('person');
      await vbox.save();
      expect((await destroyOfJob()).failures).toEqual([]);
      expect(await vbox.names()).toEqual(['person']);
      expect((await vbox.left()).disks).toEqual([]);
      expect(existsSync(join(job, 'vms/test'))).toBe(false);
    },
  );

  it('destroys a running one whose session stays locked for a moment', async () => {
    const machine = await vbox.machine('test', { in: job, locks: 2 });
    vbox.run(machine);
    const pid = machine.pid ?? 0;
    await vbox.save();
    expect((await destroyOfJob()).failures).toEqual([]);
    expect(await vbox.names()).toEqual([]);
    expect(existsSync(`/proc/${pid}/exe`)).toBe(false);
  });

  it.each([
    ['does not power off', { stuck: true }],
    ['answers no emergency stop either', { stuck: 'hard' }],
    ['hangs', { hangs: true }],
  ] as const)('ends one that %s', async (_, trouble) => {
    const machine = await vbox.machine('test', { in: job, ...trouble });
    vbox.run(machine);
    const pid = machine.pid ?? 0;
    await vbox.save();
    expect((await destroyOfJob([living], { commandTimeoutSec: 3 })).failures).toEqual([]);
    expect(existsSync(`/proc/${pid}/exe`)).toBe(false);
    expect(await vbox.names()).toEqual([]);
  });

  it('knows a machine by its description', async () => {
    await vbox.machine('tagged', { description: `made by CI\n_CI_JOB_TAG=${TAG}\nhere` });
    await vbox.machine('named', { description: `_CI_JOB_MACHINE=${MACHINE}` });
    await vbox.machine('similar', { description: `see _CI_JOB_TAG=${TAG}` });
    await vbox.machine('imitated', { description: `x"\nVMState="running"\n_CI_JOB_TAG=${TAG}2` });
    await vbox.save();
    expect((await destroyOfJob()).removed.map(({ vm }) => vm.name).sort()).toEqual([
      'named',
      'tagged',
    ]);
    expect(await vbox.names()).toEqual(['imitated', 'similar']);
  });

  it("does not take VBoxSVC's environment for the machine's", async () => {
    vbox.start('VBoxSVC', ['--auto-shutdown'], { _CI_JOB_TAG: TAG });
    const machine = await vbox.machine('whose');
    vbox.run(machine, { _CI_JOB_TAG: TAG });
    await vbox.save();
    const kept = await destroyOfJob();
    expect(kept.removed).toEqual([]);
    expect(kept.undecided).toHaveLength(1);
    expect(await vbox.names()).toEqual(['whose']);
    expect((await destroyOfJob([])).removed).toHaveLength(1);
    expect(await vbox.names()).toEqual([]);
  });

  it("takes the mark of a machine's own process", async () => {
    vbox.start('VBoxSVC', ['--auto-shutdown'], { _CI_JOB_TAG: `${TAG}1` });
    const machine = await vbox.machine('own');
    vbox.run(machine, { _CI_JOB_TAG: TAG });
    const theirs = await vbox.machine('theirs');
    vbox.run(theirs, { _CI_JOB_TAG: `${TAG}1` });
    await vbox.save();
    expect((await destroyOfJob()).failures).toEqual([]);
    expect(await vbox.names()).toEqual(['theirs']);
  });

  it('leaves disks alone that are not of the machine or the job', async () => {
    const golden = await vbox.disk(join(base, 'golden.vdi'));
    const own = await vbox.disk(join(job, 'test/own.vdi'));
    await vbox.machine('test', { in: job, disks: [golden.id, own.id] });
    await vbox.save();
    expect((await destroyOfJob()).failures).toEqual([]);
    expect(existsSync(golden.location)).toBe(true);
    expect(existsSync(own.location)).toBe(false);
    expect((await vbox.left()).disks.map(({ id }) => id)).toEqual([golden.id]);
  });

  it('leaves a disk alone that only a snapshot of the machine refers to', async () => {
    const golden = await vbox.disk(join(base, 'golden.vdi'));
    const own = await vbox.disk(join(job, 'beside.vdi'));
    await vbox.machine('test', {
      in: job,
      disks: [own.id],
      snapshotDisks: [golden.id],
      snapshot: 'one',
    });
    await vbox.save();
    expect((await destroyOfJob()).failures).toEqual([]);
    expect(existsSync(golden.location)).toBe(true);
    expect(existsSync(own.location)).toBe(false);
    expect(existsSync(join(job, 'test'))).toBe(false);
  });

  it('leaves alone what a person keeps in the folder of a machine', async () => {
    const description = `_CI_JOB_MACHINE=${MACHINE}`;
    const base = await vbox.disk(join(vbox.folder, 'test/test.vdi'));
    const leaf = await vbox.disk(join(vbox.folder, 'test/Snapshots/leaf.vdi'), base.id);
    const golden = await vbox.disk(join(vbox.folder, 'golden/golden.vdi'));
    const machine = await vbox.machine('test', {
      description,
      disks: [leaf.id],
      snapshotDisks: [base.id, golden.id],
      snapshot: 'one',
    });
    const plain = await vbox.machine('plain', { description });
    await vbox.save();
    const notes = join(dirname(machine.config), 'notes.txt');
    await writeFile(notes, 'mine');
    expect((await destroyOfJob()).failures).toEqual([]);
    expect(await readdir(dirname(machine.config))).toEqual(['notes.txt']);
    expect(existsSync(golden.location)).toBe(true);
    expect(existsSync(dirname(plain.config))).toBe(false);
  });

  it('unregisters one whose settings cannot be read', async () => {
    const machine = await vbox.machine('broken', { in: job, inaccessible: true });
    await vbox.machine('lost', { inaccessible: true });
    await vbox.save();
    expect((await destroyOfJob()).failures).toEqual([]);
    expect(await vbox.names()).toEqual(['lost']);
    expect(existsSync(machine.config)).toBe(false);
  });

  it('closes disks of a machine whose making was cut off', async () => {
    const parent = await vbox.disk(join(job, 'half/base.vdi'));
    const child = await vbox.disk(join(job, 'half/Snapshots/child.vdi'), parent.id);
    const gone = await vbox.disk(join(job, 'half/gone.vdi'));
    const elsewhere = await vbox.disk(join(base, 'builds/elsewhere.vdi'));
    await rm(gone.location);
    const used = await vbox.disk(join(job, 'used.vdi'));
    await vbox.machine('theirs', { in: other, disks: [used.id] });
    await vbox.save();
    expect((await destroyOfJob()).failures).toEqual([]);
    const left = (await vbox.left()).disks.map(({ id }) => id).sort();
    expect(left).toEqual([elsewhere.id, used.id].sort());
    expect(existsSync(child.location) || existsSync(parent.location)).toBe(false);
  });

  it('removes host-only networks that only the machines of the job used', async () => {
    await setNetworks(['vboxnet0', 'vboxnet1', 'vboxnet2'], ['vboxnet0']);
    await vbox.machine('one', { in: job, networks: ['vboxnet0', 'vboxnet1'] });
    await vbox.machine('two', { in: job, networks: ['vboxnet0'], state: 'saved' });
    await vbox.machine('person', { networks: ['vboxnet1'] });
    await vbox.save();
    expect((await destroyOfJob()).failures).toEqual([]);
    expect(await networksLeft()).toEqual({ interfaces: ['vboxnet1', 'vboxnet2'], dhcp: [] });
  });

  it('keeps host-only networks while somebody else has machines', async () => {
    const person = new StandInVirtualBox(await addUser('vmperson'));
    await person.machine('mine', { networks: ['vboxnet0'] });
    await person.save();
    await setNetworks(['vboxnet0'], []);
    await vbox.machine('one', { in: job, networks: ['vboxnet0'] });
    await vbox.save();
    expect((await destroyOfJob()).failures).toEqual([]);
    expect((await networksLeft()).interfaces).toEqual(['vboxnet0']);
    const users = ['vmbuilder', 'vmperson'];
    expect((await destroyOfJob([living], { users })).removed).toEqual([]);
    expect(await person.names()).toEqual(['mine']);
  });

  it('leaves a folder alone that is not the machine’s own', async () => {
    const config = join(job, 'settings.vbox');
    await vbox.machine('test', { config });
    await vbox.save();
    expect((await destroyOfJob()).failures).toEqual([]);
    expect(await vbox.names()).toEqual([]);
    expect(existsSync(job)).toBe(true);
  });

  it('ends a machine whose registry nobody knows', async () => {
    const id = randomUUID();
    const mine = vbox.start('VBoxHeadless', ['--startvm', id], { _CI_JOB_MACHINE: MACHINE });
    const other = vbox.start('VBoxHeadless', ['--startvm', randomUUID()]);
    const result = await destroyOfJob();
    expect(result.failures).toEqual([]);
    expect(result.removed.map(({ vm }) => vm.id)).toEqual([id]);
    expect(existsSync(`/proc/${mine}/cmdline`)).toBe(false);
    expect(existsSync(`/proc/${other}/cmdline`)).toBe(true);
  });

  it('tells the processes of VirtualBox, by a file that only root can make', async () => {
    const program = '/usr/lib/virtualbox/VBoxSVC';
    const imitation = join(job, 'VBoxSVC');
    await mkdir('/usr/lib/virtualbox', { recursive: true });
    for (const path of [program, imitation]) await copyFile('/bin/sleep', path);
    await chown(imitation, vbox.user.uid, -1);
    const start = (path: string, argv0: string): number => {
      const options = { argv0, uid: vbox.user.uid, stdio: 'ignore', reject: false } as const;
      const child = execa(path, ['1000'], { ...options, cleanup: true });
      onTestFinished(() => {
        child.kill('SIGKILL');
      });
      return child.pid ?? 0;
    };
    expect(isVirtualBoxProcess(start(program, 'x'))).toBe(true);
    expect(isVirtualBoxProcess(start(imitation, program))).toBe(false);
    expect(isVirtualBoxProcess(start('/bin/sleep', program))).toBe(false);
    expect(isVirtualBoxProcess(2 ** 22 + 1)).toBe(false);
    await rm('/usr/lib/virtualbox', { recursive: true });
  });

  it('looks at the other users where one user’s VirtualBox gives no answer', async () => {
    const person = await addUser('vmperson');
    await mkdir(join(person.home, '.config/VirtualBox'), { recursive: true });
    await writeFile(join(person.home, '.config/VirtualBox/VirtualBox.xml'), '');
    await vbox.machine('test', { in: job });
    await vbox.save();
    const { failures, removed } = await destroyOfJob([], { users: ['vmperson', 'vmbuilder'] });
    expect(removed).toHaveLength(1);
    expect(failures.join('\n')).toContain('VBoxManage');
    expect(await vbox.names()).toEqual([]);
  });

  it('is nothing to look for where VirtualBox was removed from the host', async () => {
    await vbox.machine('test', { in: job });
    await vbox.save();
    await removeStandIns();
    expect(await destroyOfJob()).toEqual({ removed: [], failures: [], undecided: [] });
    await installStandIn('VBoxManage');
  });

  it('does its work for a user without any trace of VirtualBox', async () => {
    expect(await destroyOfJob()).toEqual({ removed: [], failures: [], undecided: [] });
  });
});
