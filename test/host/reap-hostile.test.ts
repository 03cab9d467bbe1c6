/**
 * Directories that are bad to delete: gone after cleanup, after a reap, and when systemd is alone
 * with them; and nothing outside is touched. NSPAWN_RUNNER_FILES says how many files are in one.
 */
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DriverJob, host, STATE_DIR, waitFor } from './driver.ts';
import { makeHostileTree, makeOutside, mountBelow, type Outside } from './hostile-tree.ts';
import { hostState, leftSince } from './host-state.ts';
import { makeDirectory, newPlace } from './orphans.ts';
import { quietHost } from './quiet-host.ts';
import { explain, reap } from './reap.ts';

const FILES = Number(process.env['NSPAWN_RUNNER_FILES'] ?? 5_000);
/** The sweep has the lowest weight, and the kernel works off 200,000 files at its own pace. */
const SWEEP_MS = 60_000 + FILES;
const TIMEOUT_MS = 3 * SWEEP_MS;
const CHECKOUT = join(import.meta.dirname, '../..');

let outside: Outside;
let manifest: readonly string[] = [];
/** What is bound recursively: the host itself, where the checkout is safe from it. */
let whole = '/';
let checkoutMount = '';

beforeAll(async () => {
  await quietHost();
  outside = await makeOutside();
  manifest = await outside.manifest();
  checkoutMount = await host('findmnt', '--noheadings', '--output=TARGET', `--target=${CHECKOUT}`);
  if (checkoutMount === '/') whole = outside.other;
});
afterAll(() => outside.remove());

/** Whatever goes wrong must not reach the checkout, which a lab host has bound for writing. */
async function withSafeCheckout<T>(work: () => Promise<T>): Promise<T> {
  if (checkoutMount === '/') return work();
  await host('mount', '--options=remount,bind,ro', checkoutMount);
  try {
    return await work();
  } finally {
    await host('mount', '--options=remount,bind,rw', checkoutMount);
  }
}

async function expectAllGone(
  before: Awaited<ReturnType<typeof hostState>>,
  why = '',
): Promise<void> {
  expect(await leftSince(before, { timeoutMs: SWEEP_MS }), why).toEqual([]);
  const now = await outside.manifest();
  const [old, found] = [new Set(manifest), new Set(now)];
  const lost = manifest.filter((line) => !found.has(line));
  expect([lost, now.filter((line) => !old.has(line))], 'what is outside, as it was').toEqual([
    [],
    [],
  ]);
}

describe('a hostile tree in a job’s directory', () => {
  it('is gone after cleanup', { timeout: TIMEOUT_MS }, async () => {
    const before = await hostState();
    const job = await DriverJob.create();
    await job.prepare();
    await makeHostileTree(join(job.directory, 'upper/hostile'), FILES, outside);
    const { status, stderr, durationMs } = await job.cleanup();
    expect([status, stderr]).toEqual([0, '']);
    // The files are the sweep's work and not the job's.
    expect(durationMs).toBeLessThan(20_000);
    await rm(job.tmpDir, { recursive: true });
    await expectAllGone(before);
  });

  it('is gone after a reap', { timeout: TIMEOUT_MS }, async () => {
    const before = await hostState();
    const path = await makeDirectory(newPlace());
    const tree = join(path, 'upper/hostile');
    await makeHostileTree(tree, FILES, outside, { isDeepImmutable: true });
    const reports: string[] = [];
    // The first sweep has no time for what only a person can make: a reap sees that, and takes it.
    await waitFor(
      'it is gone',
      async () => {
        const { status, report } = await reap();
        reports.push(`${status}: ${explain(report.items)}`);
        return (await readdir(join(STATE_DIR, 'trash'))).length === 0;
      },
      SWEEP_MS,
    );
    expect(
      reports.every((text) => text.startsWith('0')),
      reports.join('\n\n'),
    ).toBe(true);
    await expectAllGone(before, reports.join('\n\n'));
  });

  it('is gone when systemd is alone with it', { timeout: TIMEOUT_MS }, async () => {
    const before = await hostState();
    const job = await DriverJob.create();
    await job.prepare();
    await makeHostileTree(join(job.directory, 'upper/hostile'), FILES, outside);
    await host('systemctl', 'kill', '--signal=KILL', job.unit);
    await rm(job.tmpDir, { recursive: true });
    await expectAllGone(before);
  });
});

describe('mounts in a job’s directory', () => {
  it('are gone after cleanup, and what they show is not', { timeout: TIMEOUT_MS }, async () => {
    const before = await hostState();
    const job = await DriverJob.create();
    await job.prepare();
    await withSafeCheckout(async () => {
      await mountBelow(join(job.directory, 'upper/hostile'), outside, whole);
      const { status, stderr } = await job.cleanup();
      expect([status, stderr]).toEqual([0, '']);
    });
    await rm(job.tmpDir, { recursive: true });
    await expectAllGone(before);
  });

  it('are gone after a reap', { timeout: TIMEOUT_MS }, async () => {
    const before = await hostState();
    const path = await makeDirectory(newPlace());
    const { status, report } = await withSafeCheckout(async () => {
      await mountBelow(join(path, 'upper/hostile'), outside, whole);
      return reap();
    });
    expect(status, explain(report.items)).toBe(0);
    await expectAllGone(before, explain(report.items));
  });

  it('on the directory itself do not keep it', { timeout: TIMEOUT_MS }, async () => {
    const before = await hostState();
    const path = await makeDirectory(newPlace());
    for (const source of [path, outside.same, outside.other]) {
      await host('mount', '--bind', source, path);
    }
    const { status, report } = await reap();
    expect(status, explain(report.items)).toBe(0);
    await expectAllGone(before, explain(report.items));
  });

  it(
    'show no deletion the way out when systemd is alone, and the next reap takes the rest',
    { timeout: TIMEOUT_MS },
    async () => {
      const before = await hostState();
      const job = await DriverJob.create();
      await job.prepare();
      const { status, report } = await withSafeCheckout(async () => {
        await mountBelow(join(job.directory, 'upper/hostile'), outside, whole);
        await writeFile(join(job.directory, 'upper/file'), '');
        await host('systemctl', 'kill', '--signal=KILL', job.unit);
        await waitFor('the directory is gone', () => !existsSync(job.directory));
        // What the sweep can delete is gone; the mounts of the host are not its to take off.
        const trash = join(STATE_DIR, 'trash');
        const isSwept = (): boolean =>
          readdirSync(trash).every((item) => !existsSync(join(trash, item, 'upper/file')));
        await waitFor('the sweep is at work', isSwept);
        const sweeps = 'nspawn-runner-sweep-*';
        await waitFor(
          'the sweep has ended',
          async () =>
            (await host('systemctl', 'list-units', '--all', '--plain', '--no-legend', sweeps)) ===
            '',
        );
        return reap();
      });
      expect(status, explain(report.items)).toBe(0);
      await rm(job.tmpDir, { recursive: true });
      await expectAllGone(before, explain(report.items));
    },
  );
});

describe('a state directory', () => {
  it('that is a symbolic link is cleared of mounts like any other', async () => {
    const before = await hostState();
    const [real, linked] = ['/var/lib/elsewhere', '/var/lib/linked'];
    const { machine } = newPlace();
    const path = join(real, 'jobs', machine, 'upper/bound');
    await mkdir(path, { recursive: true });
    await symlink(real, linked);
    await host('mount', '--bind', outside.same, path);
    await writeFile('/tmp/linked.yaml', `state_dir: ${linked}\n`);
    const { status, report, about } = await reap({ args: ['--settings=/tmp/linked.yaml'] });
    expect(status, explain(report.items)).toBe(0);
    const [directory] = about(machine).filter(({ kind }) => kind === 'directory');
    expect(directory?.result).toBe('removed');
    await waitFor('it is deleted', async () => (await host('find', real, '-name', 'bound')) === '');
    await expectAllGone(before);
    for (const left of [real, linked, '/tmp/linked.yaml']) await rm(left, { recursive: true });
  });
});

describe('what a job makes in its machine', () => {
  const SCRIPT = [
    'mkdir -p /bad/deep && cd /bad && touch -- -rf -- "a b" "*" "$(printf "a\\nb")" "$(printf "\\377")"',
    'ln -s /etc link; mkfifo fifo; mknod null c 1 3; mknod disk b 254 0; chmod 0 deep',
    'touch fast slow; chattr +i fast || true; chattr +a slow || true; rm -rf /usr/share/doc /opt',
    'mkdir m n && mount -t tmpfs none m && touch m/file && mount --bind /etc n && mount --rbind / m',
    'perl -e \'for (1..3000) { mkdir "dd"; chdir "dd" or die } system("touch end; chattr +i end")\' || true',
  ];

  it.each(['cleanup', 'systemd alone', 'reap'])(
    'is gone after %s',
    { timeout: TIMEOUT_MS },
    async (end) => {
      const before = await hostState();
      const job = await DriverJob.create();
      await job.prepare();
      const { status, stderr } = await job.run(SCRIPT.join('\n'));
      expect(status, stderr).toBe(0);
      if (end === 'cleanup') await job.cleanup();
      else await host('systemctl', 'kill', '--signal=KILL', job.unit);
      if (end === 'reap') await reap();
      await rm(job.tmpDir, { recursive: true });
      await expectAllGone(before);
      expect(existsSync(join(STATE_DIR, 'jobs', job.machine))).toBe(false);
    },
  );
});
