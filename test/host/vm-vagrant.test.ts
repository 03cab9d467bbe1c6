/** Vagrant with VirtualBox, both played by stand-ins. */
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { VmClaim } from '../../src/vm/virtual-machine.ts';
import { destroyVmsOfJob, installedKinds } from '../../src/vm/virtual-machines.ts';
import { waitFor } from './driver.ts';
import {
  addUser,
  installStandIn,
  mayInstallStandIns,
  removeStandIns,
  removeUser,
  StandInVagrant,
  StandInVirtualBox,
} from './vm-stand-in-host.ts';

let base: string;
let job: string;
let other: string;
let vbox: StandInVirtualBox;
let vagrant: StandInVagrant;
let dead: VmClaim;
let living: VmClaim;

function destroyOfJob(
  more: { users?: string[]; commandTimeoutSec?: number } = {},
): ReturnType<typeof destroyVmsOfJob> {
  return destroyVmsOfJob({
    claim: dead,
    others: [living],
    kinds: ['vagrant', 'virtualbox'],
    users: ['vmbuilder'],
    ...more,
  });
}

describe.skipIf(!mayInstallStandIns())('environments of Vagrant', () => {
  beforeAll(async () => {
    await installStandIn('VBoxManage');
    await installStandIn('vagrant');
  });

  afterAll(removeStandIns);

  beforeEach(async () => {
    base = await mkdtemp('/var/tmp/vm-vagrant-');
    await chmod(base, 0o755);
    const user = await addUser('vmbuilder');
    [job, other] = [join(base, 'builds/job'), join(base, 'builds/job2')];
    for (const path of [job, other]) {
      await mkdir(path, { recursive: true });
      await chown(path, user.uid, -1);
    }
    dead = {
      machine: 'nsr1-aaaaaaaa-1',
      tag: 'runner-1-project-2-concurrent-0-1',
      directories: [job],
    };
    living = { machine: 'nsr1-aaaaaaaa-2', tag: undefined, directories: [other] };
    vbox = new StandInVirtualBox(user);
    vagrant = new StandInVagrant(user);
  });

  afterEach(async () => {
    await rm(base, { recursive: true, force: true });
    await rm('/root/.vagrant.d', { recursive: true, force: true });
    await removeUser('vmbuilder');
  });

  it('destroys those below the job’s directories with their machines, and no others', async () => {
    expect(await installedKinds(['vagrant'])).toEqual(['vagrant']);
    await vagrant.environment(join(job, 'deep/er'), await vbox.machine('one'));
    await vagrant.environment(job, await vbox.machine('two', { state: 'saved' }));
    await vagrant.environment(other, await vbox.machine('theirs'));
    await vagrant.environment(join(base, 'person'), await vbox.machine('person'));
    await vbox.save();
    await vagrant.save();
    expect((await destroyOfJob()).failures).toEqual([]);
    expect(await vbox.names()).toEqual(['person', 'theirs']);
    expect(await vagrant.directories()).toEqual([other, join(base, 'person')].sort());
  });

  it('gets the machine although its Vagrantfile is broken', async () => {
    await vagrant.environment(job, await vbox.machine('broken'), 'raise');
    await vbox.save();
    await vagrant.save();
    expect((await destroyOfJob()).failures).toEqual([]);
    expect(await vbox.names()).toEqual([]);
    expect(await vagrant.directories()).toEqual([]);
  });

  it('drops what the index still has of a directory that is gone', async () => {
    await vagrant.environment(job, await vbox.machine('gone', { in: job }));
    await vbox.save();
    await vagrant.save();
    await rm(job, { recursive: true });
    expect((await destroyOfJob()).failures).toEqual([]);
    expect(await vagrant.directories()).toEqual([]);
    expect(await vbox.names()).toEqual([]);
  });

  it('gives up on a Vagrantfile that does not end', async () => {
    await vagrant.environment(job, await vbox.machine('endless'), 'loop');
    await vbox.save();
    await vagrant.save();
    const startedAt = performance.now();
    await destroyOfJob({ commandTimeoutSec: 1 });
    expect(performance.now() - startedAt).toBeLessThan(60_000);
    expect(await vbox.names()).toEqual([]);
  });

  it('ends what a Vagrantfile leaves running', async () => {
    await vagrant.environment(job, await vbox.machine('leaving'), 'leave');
    await vbox.save();
    await vagrant.save();
    expect((await destroyOfJob()).failures).toEqual([]);
    const pid = await readFile(join(vagrant.user.home, 'left'), 'utf8');
    await waitFor('its end', () => !existsSync(`/proc/${pid}/cmdline`));
  });

  it('finds the machine of an environment whose index entry is lost', async () => {
    const machine = await vbox.machine('shared', { sharedFolders: { vagrant: job } });
    await vbox.machine('person', { sharedFolders: { data: job } });
    expect(machine.config.startsWith(job)).toBe(false);
    await vbox.save();
    expect((await destroyOfJob()).failures).toEqual([]);
    expect(await vbox.names()).toEqual(['person']);
  });

  it("runs nobody's Vagrantfile as another user", async () => {
    const root = new StandInVagrant({ name: 'root', uid: 0, home: '/root' });
    await vagrant.environment(job, await vbox.machine('mine'));
    await vbox.save();
    await root.adopt(vagrant);
    const { failures } = await destroyOfJob({ users: ['root'] });
    expect(failures.join('\n')).toContain("which is not user root's");
    expect(existsSync('/root/vagrantfiles')).toBe(false);
  });

  it('reads an index that is a link, a pipe or no index as no evidence', async () => {
    await vagrant.save();
    await rm(vagrant.index);
    await symlink('/etc/shadow', vagrant.index);
    const { failures, removed } = await destroyOfJob();
    expect(removed).toEqual([]);
    expect(failures.join('\n')).toContain('cannot be read');
    expect(await readFile('/etc/shadow', 'utf8')).toContain('root:');
  });
});
