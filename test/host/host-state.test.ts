/** The checker itself: an idle host is the same twice, and whatever a job could leave is seen. */
import { execa } from 'execa';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { DriverJob, host, STATE_DIR, waitFor } from './driver.ts';
import { difference, hostState, leftSince } from './host-state.ts';

const MACHINE = 'nsr1-aaaaaaaa-1';

beforeAll(async () => {
  // Services that start with the first machine, and directories that stay from then on.
  const job = await DriverJob.create();
  await job.prepare();
  await job.dispose();
});

describe('an idle host', () => {
  it('has the same state twice', async () => {
    const before = await hostState();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(difference(before, await hostState())).toEqual([]);
  });

  it('has the same state before and after a job', async () => {
    const before = await hostState();
    const job = await DriverJob.create();
    await job.prepare();
    await job.run('sleep 300 & echo hi');
    const kinds = difference(before, await hostState()).map((line) => line.split(':')[1]?.trim());
    for (const kind of ['unit', 'cgroup', 'process', 'mount', 'run', 'state', 'machine']) {
      expect(kinds).toContain(kind);
    }
    await job.dispose();
    expect(await leftSince(before)).toEqual([]);
  });
});

type Remove = () => unknown;

const directory = (path: string) => async (): Promise<Remove> => {
  await mkdir(path, { recursive: true });
  return () => rm(path, { recursive: true });
};

/** Of a command that becomes `sleep` in the end. */
async function process(...args: string[]): Promise<Remove> {
  // A parent that ends at once: the process is left to the host's init.
  const pid = await host('sh', '-c', '"$@" >/dev/null 2>&1 & echo $!', 'sh', ...args);
  await waitFor('sleep', async () => (await readFile(`/proc/${pid}/comm`, 'utf8')) === 'sleep\n');
  return () => host('kill', '-KILL', pid);
}

describe('what a job could leave is seen', () => {
  it.each<[string, string, () => Promise<Remove>]>([
    [
      'a unit that failed',
      'unit: odd.service',
      async () => {
        await execa('systemd-run', ['--unit=odd.service', '--wait', 'false'], { reject: false });
        return () => host('systemctl', 'reset-failed', 'odd.service');
      },
    ],
    ['a process in our slice', 'process: ', () => sliced()],
    [
      'a process with the tag',
      '_CI_JOB_TAG=runner-1-project-2-concurrent-0-3',
      () => process('env', '_CI_JOB_TAG=runner-1-project-2-concurrent-0-3', 'sleep', '301'),
    ],
    [
      'a process with the machine’s mark',
      `_CI_JOB_MACHINE=${MACHINE}`,
      () => process('env', '-i', `_CI_JOB_MACHINE=${MACHINE}`, 'sleep', '302'),
    ],
    ['a helper that lost its stage', 'sleep 303', () => process('sleep', '303')],
    ['a mount', `mount: ${STATE_DIR}`, mounted],
    [
      'a mount in a namespace that nothing else is in',
      'in the mount namespace of process',
      async () => {
        const path = join(STATE_DIR, 'jobs', MACHINE);
        const kill = await process(
          ...['unshare', '--mount', 'sh', '-c'],
          ...['mkdir -p "$1"; mount -t tmpfs none "$1"; exec sleep 304', 'sh', path],
        );
        return async () => {
          await kill();
          await rm(path, { recursive: true });
        };
      },
    ],
    [
      'a link with another name',
      'link: ns-odd = nsr-alt',
      async () => {
        await host('ip', 'link', 'add', 'ns-odd', 'type', 'veth', 'peer', 'name', 'ns-peer');
        await host('ip', 'link', 'property', 'add', 'dev', 'ns-odd', 'altname', 'nsr-alt');
        return () => host('ip', 'link', 'delete', 'ns-odd');
      },
    ],
    ...(
      [
        ['run', `/run/systemd/nspawn/unix-export/${MACHINE}`],
        ['run', `/run/nspawn-runner/locks/${MACHINE}`],
        ['run', `/run/systemd/machines/${MACHINE}`],
        ['state', `${STATE_DIR}/jobs/${MACHINE}`],
        ['state', `${STATE_DIR}/trash/${MACHINE}-00000000`],
        ['state', `${STATE_DIR}/claims/${MACHINE}.json`],
        ['temp-dir', `${tmpdir()}/custom-executor123`],
        ['temp-dir', `${tmpdir()}/host-job-odd/custom-executor123`],
      ] as const
    ).map(([kind, path]): [string, string, () => Promise<Remove>] => [
      path,
      `${kind}: ${path}`,
      directory(path),
    ]),
  ])('%s', async (_, text, plant) => {
    const before = await hostState();
    const remove = await plant();
    const lines = difference(before, await hostState());
    await remove();
    expect(lines.join('\n')).toContain(text);
    expect(difference(before, await hostState(), [text])).toEqual([]);
    expect(await leftSince(before)).toEqual([]);
  });

  it('but nothing that is to be ignored', async () => {
    const before = await hostState();
    const path = join(STATE_DIR, 'jobs', MACHINE);
    const remove = await directory(path)();
    expect(difference(before, await hostState(), [MACHINE])).toEqual([]);
    await remove();
  });

  it('and what has gone as well', async () => {
    const root = await mkdtemp(join(tmpdir(), 'custom-executor'));
    await writeFile(join(root, 'file'), '');
    const before = await hostState();
    await rm(root, { recursive: true });
    expect(difference(before, await hostState())).toEqual([`lost: temp-dir: ${root}`]);
    expect(existsSync(dirname(root))).toBe(true);
  });
});

async function sliced(): Promise<Remove> {
  const unit = `${MACHINE}.service`;
  const slice = '--slice=nspawn-runner.slice';
  await host('systemd-run', '--quiet', slice, `--unit=${unit}`, '--', 'sleep', '305');
  return () => host('systemctl', 'stop', unit);
}

async function mounted(): Promise<Remove> {
  const path = join(STATE_DIR, 'odd-mount');
  await mkdir(path, { recursive: true });
  await host('mount', '--types=tmpfs', 'none', path);
  return async () => {
    await host('umount', path);
    await rm(path, { recursive: true });
  };
}
