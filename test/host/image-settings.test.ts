/** What a chroot's recipe says of its machines holds for the jobs that boot from it. */
import { execa } from 'execa';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ImageSettings } from '../../src/chroot/image-settings.ts';
import { DriverJob, host, leftovers, waitFor, type StageResult } from './driver.ts';
import { ChrootPlace, type ChrootRequest, type MadeChroot } from './made-chroot.ts';

let place: ChrootPlace;
let shared = '';
let image = '';
let images = 0;

beforeAll(async () => {
  place = await ChrootPlace.create();
  shared = await mkdtemp('/var/lib/image-settings-');
  await writeFile(join(shared, 'file'), 'of the host');
});
afterAll(async () => {
  await place.dispose();
  await rm(shared, { recursive: true });
});

type Machine = Omit<ImageSettings, 'format'>;

async function jobOf(machine: Machine, request: ChrootRequest = {}): Promise<DriverJob> {
  image = `image-${images++}`;
  await place.add(image, { machine, ...request });
  return newJob();
}

const newJob = (more = ''): Promise<DriverJob> =>
  DriverJob.create({ image, settings: `${place.settings}${more}` });

async function prepared(job: DriverJob): Promise<void> {
  const { status, stderr } = await job.prepare();
  expect(status, stderr).toBe(0);
}

/** Runs one script in a machine of that recipe, and ends it. */
async function inMachine(machine: Machine, script: string): Promise<StageResult> {
  const job = await jobOf(machine);
  await prepared(job);
  const result = await job.run(script);
  await ended(job);
  return result;
}

async function ended(job: DriverJob): Promise<void> {
  expect((await job.cleanup()).status).toBe(0);
  expect(await leftovers(job)).toEqual([]);
  await waitFor('the sweep', async () => {
    const left = await place.leftOfJobs();
    return !left.some((path) => path.includes(job.machine));
  });
  await rm(job.tmpDir, { recursive: true });
}

async function shown(job: DriverJob, ...properties: string[]): Promise<readonly string[]> {
  const text = await host('systemctl', 'show', `--property=${properties.join(',')}`, job.unit);
  return text.split('\n').sort();
}

describe('a recipe that says', () => {
  it('nothing leaves its machines as they are', async () => {
    const job = await jobOf({});
    await prepared(job);
    expect(await shown(job, 'TasksMax', 'MemoryHigh', 'TimeoutStartUSec')).toEqual([
      'MemoryHigh=infinity',
      'TasksMax=16384',
      'TimeoutStartUSec=1min',
    ]);
    const script = 'grep ^Seccomp: /proc/self/status; ls /var/lib/docker 2>&1 || :';
    const { stdout } = await job.run(script);
    expect(stdout).toMatch(/^Seccomp:\t2\n.*No such file or directory\n$/);
    await ended(job);
  });

  it('limits and a boot time: they go before the settings, one by one', async () => {
    await jobOf({ limits: { memoryHighBytes: 2 ** 30, tasksMax: 777 }, bootTimeoutSec: 33 });
    const job = await newJob(
      'limits: {memory_max: 3G, memory_high: 50%, tasks_max: 5000}\nboot_timeout: 44\n',
    );
    await prepared(job);
    expect(await shown(job, 'TasksMax', 'MemoryHigh', 'MemoryMax', 'TimeoutStartUSec')).toEqual([
      'MemoryHigh=1073741824',
      'MemoryMax=3221225472',
      'TasksMax=777',
      'TimeoutStartUSec=33s',
    ]);
    await ended(job);
  });

  it('a shell and a user: config names the one, scripts run as the other', async () => {
    const job = await jobOf({ shell: 'sh', user: 'nobody' });
    expect(JSON.parse((await job.stage('config')).stdout)).toMatchObject({ shell: 'sh' });
    await prepared(job);
    const { stdout } = await job.run('id --user --name; readlink /proc/$$/exe; touch /builds/x');
    expect(stdout).toMatch(/^nobody\n\/(usr\/)?bin\/dash\n$/);
    await ended(job);
  });

  it('a shell, beside a stage that names another: the stage has the last word', async () => {
    const job = await jobOf({ shell: 'sh' });
    const { stdout } = await job.stage('config', '--shell=/bin/bash');
    expect(JSON.parse(stdout)).toMatchObject({ shell: 'bash' });
    expect((await job.stage('prepare', '--shell=/bin/bash')).status).toBe(0);
    expect((await job.run('echo "${BASH_VERSION:+bash}"')).stdout).toBe('bash\n');
    await ended(job);
  });

  it('binds: they are there, writable or not', async () => {
    const binds = [
      { source: shared, target: '/srv/shared', readOnly: false },
      { source: join(shared, 'file'), target: '/etc/from:host', readOnly: true },
    ];
    const script = 'cat /etc/from:host; echo more >/srv/shared/new; echo no >/etc/from:host';
    const { status, stdout } = await inMachine({ binds }, script);
    expect([status, stdout]).toEqual([1, 'of the host']);
    expect(await readFile(join(shared, 'new'), 'utf8')).toBe('more\n');
    expect(await readFile(join(shared, 'file'), 'utf8')).toBe('of the host');
  });

  it('a bind of what the host lacks: nothing is started, and the message names it', async () => {
    const source = join(shared, 'missing');
    const job = await jobOf({ binds: [{ source, target: '/srv', readOnly: true }] });
    const { status, stderr } = await job.prepare();
    expect(status).toBe(2);
    expect(stderr).toContain(
      [
        `"${source}" is not on this host.`,
        `  The recipe of chroot "${image}" binds it into machines.`,
        `Make it on the host, or take it out of machine.binds in the recipe and run \`nspawn-runner chroot update ${image}\`.`,
      ].join('\n'),
    );
    expect(await leftovers(job)).toEqual([]);
    expect((await place.leftOfJobs()).filter((path) => path.includes(job.machine))).toEqual([]);
    await ended(job);
  });

  it('no network: a loopback interface that is up, and nothing else', async () => {
    const script = 'ls /sys/class/net; cat /sys/class/net/lo/carrier; getent hosts "$(hostname)"';
    const { status, stdout } = await inMachine({ network: 'none' }, script);
    expect([status, stdout.split('\n').slice(0, 2)]).toEqual([0, ['lo', '1']]);
  });

  it('seccomp: false takes the filter away', async () => {
    const { stdout } = await inMachine({ seccomp: false }, 'grep ^Seccomp: /proc/self/status');
    expect(stdout).toBe('Seccomp:\t0\n');
  });

  it('suppress_sync: systemd-nspawn is told, and what syncs works', async () => {
    const script = 'dd if=/dev/zero of=/root/x bs=4k count=1 conv=fsync status=none && sync';
    const job = await jobOf({ suppressSync: true });
    await prepared(job);
    expect((await job.run(script)).status).toBe(0);
    expect((await shown(job, 'ExecStart')).join(' ')).toContain('--suppress-sync=yes');
    await ended(job);
  });

  it('options of systemd-nspawn: it gets them', async () => {
    const machine = { nspawnOptions: ['--tmpfs=/srv/memory:size=1M', '--setenv=GIVEN=a b'] };
    const { status, stdout } = await inMachine(
      machine,
      'findmnt --noheadings --output=FSTYPE /srv/memory; tr "\\0" "\\n" </proc/1/environ | grep GIVEN',
    );
    expect([status, stdout]).toEqual([0, 'tmpfs\nGIVEN=a b\n']);
  });
});

describe('the nesting profile', () => {
  it('has all capabilities, keyrings, a network of its own and room for images', async () => {
    const script = `
      set -eu
      sed -n 's/^CapEff:\\t//p' /proc/self/status
      ls /sys/class/net
      # A filter refuses add_key(2) with EPERM.
      cat /proc/keys >/dev/null
      for at in docker containerd containers; do
        mkdir /var/lib/$at/l /var/lib/$at/u /var/lib/$at/w /var/lib/$at/m
        cd /var/lib/$at
        mount -t overlay -o lowerdir=l,upperdir=u,workdir=w nested m && touch m/written
        ls u
      done
      unshare --mount --pid --net --ipc --uts --cgroup --fork --mount-proc sh -c 'echo as pid $$'`;
    const { status, stdout, stderr } = await inMachine({ profile: 'nesting' }, script);
    expect(status, stderr).toBe(0);
    // No machine can have more than its host.
    const [, all] = /^CapBnd:\t(\w+)$/m.exec(await readFile('/proc/1/status', 'utf8')) ?? [];
    expect(stdout.trim().split('\n')).toEqual([
      all,
      'lo',
      'written',
      'written',
      'written',
      'as pid 1',
    ]);
  });
});

describe('a version that changes while jobs are prepared', () => {
  it('is in the record as the one that is mounted', async () => {
    image = `image-${images++}`;
    const versions: MadeChroot[] = [];
    for (let i = 0; i < 6; i++) {
      versions.push(
        await place.addAside(image, {
          machine: { shell: i % 2 === 0 ? 'bash' : 'sh' },
          change: (tree) =>
            writeFile(join(tree, 'etc/mark'), `${i} ${i % 2 === 0 ? 'bash' : 'dash'}`),
        }),
      );
    }
    const [first] = versions;
    if (first === undefined) throw new Error('There is no version.');
    await place.switchTo(first);
    const over = new AbortController();
    const switching = (async () => {
      for (let i = 0; !over.signal.aborted; i++) {
        const next = versions[i % versions.length];
        if (next !== undefined) await place.switchTo(next);
      }
    })();
    let renewed = 0;
    for (let round = 0; round < 6; round++) {
      const job = await newJob();
      const { status, stderr } = await job.prepare();
      expect(status, stderr).toBe(0);
      if (stderr.includes('has a newer version by now')) renewed++;
      const record = JSON.parse(
        await readFile(join(place.stateDir, 'jobs', job.machine, 'record.json'), 'utf8'),
      ) as { chrootVersion: string };
      const index = versions.findIndex(({ version }) => version === record.chrootVersion);
      const { stdout } = await job.run(
        'echo "$(cat /etc/mark) $(basename "$(readlink /proc/$$/exe)")"',
      );
      const shell = index % 2 === 0 ? 'bash' : 'dash';
      expect(stdout).toBe(`${index} ${shell} ${shell}\n`);
      await ended(job);
    }
    over.abort();
    await switching;
    console.log(`${renewed} of 6 jobs began again with a newer version`);
    expect(renewed).toBeGreaterThan(0);
  });

  it('and a chroot that goes meanwhile is the job’s fault', async () => {
    const job = await jobOf({});
    const gone = join(place.stateDir, 'chroots', image);
    await execa('rm', [join(gone, 'current')]);
    const { status, stderr } = await job.prepare();
    expect(status).toBe(1);
    expect(stderr).toContain(`Image "${image}" is not available on this runner.`);
    await mkdir(gone, { recursive: true });
    await ended(job);
  });
});
