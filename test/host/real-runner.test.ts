/**
 * The built program under a real GitLab Runner, which is the judge of our emulator. It is used when
 * there is one: `$GITLAB_RUNNER`, or `gitlab-runner` on PATH. No version of it is part of the project.
 */
import { execa } from 'execa';
import { accessSync, constants } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { machineName } from '../../src/machine/names.ts';
import { startCoordinator, type Coordinator, type JobFile } from './coordinator.ts';
import { BUNDLE, host, leftovers, STATE_DIR, waitFor } from './driver.ts';

const IMAGE = 'debian-12';
const GRACEFUL_CANCEL = [17, 0] as const;
const EXIT_CODE_FILE = [17, 9] as const;

function findRunner(): string | undefined {
  const named = process.env['GITLAB_RUNNER'];
  const places = (process.env['PATH'] ?? '').split(delimiter).map((p) => join(p, 'gitlab-runner'));
  return (named === undefined || named === '' ? places : [named]).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

const runner = findRunner();
if (runner === undefined) {
  console.warn(
    'SKIPPED: the tests under a real GitLab Runner. There is no gitlab-runner on PATH, and GITLAB_RUNNER names none.',
  );
}

describe.runIf(runner !== undefined)('under a real GitLab Runner', () => {
  const binary = runner ?? '';
  let coordinator: Coordinator;
  let directory: string;
  let runnerProcess: ReturnType<typeof startRunner>;
  let version: readonly number[];
  let nextId = Date.now() % 1e9;

  beforeAll(async () => {
    const { stdout } = await execa(binary, ['--version']);
    version = (/^Version: +(\d+)\.(\d+)/m.exec(stdout) ?? []).slice(1).map(Number);
    directory = await mkdtemp(join(tmpdir(), 'real-runner-'));
    coordinator = await startCoordinator();
    const config = await writeConfig(directory, coordinator.url, binary);
    runnerProcess = startRunner(binary, config, directory);
  });

  afterAll(async () => {
    runnerProcess.kill('SIGTERM');
    await runnerProcess;
    await coordinator.close();
    const left = await readdir(join(directory, 'tmp'));
    await rm(directory, { recursive: true, force: true });
    expect(left).toEqual([]);
  });

  const isAtLeast = ([major, minor]: readonly [number, number]): boolean => {
    const [ours = 0, oursMinor = 0] = version;
    return ours > major || (ours === major && oursMinor >= minor);
  };

  function offer(job: Omit<Parameters<Coordinator['offer']>[0], 'id' | 'image'>): JobFile {
    return coordinator.offer({ id: nextId++, image: IMAGE, ...job });
  }

  async function expectNothingLeft({ id }: JobFile): Promise<void> {
    const machine = nameOf(coordinator, id);
    expect(await leftovers({ machine, directory: join(STATE_DIR, 'jobs', machine) })).toEqual([]);
  }

  it('moves artifacts and caches', async () => {
    const first = offer({
      name: 'produce',
      script: ['mkdir out kept', 'echo from-artifact > out/a', 'echo from-cache > kept/c'],
      artifacts: ['out/'],
      cache: ['kept/'],
    });
    expect(await first.ended, first.log()).toMatchObject({ state: 'success' });
    const second = offer({
      name: 'consume',
      script: ['cat out/a kept/c', 'systemctl is-system-running'],
      cache: ['kept/'],
      needs: first,
    });
    expect(await second.ended, second.log()).toMatchObject({ state: 'success' });
    expect(second.log()).toMatch(/^from-artifact\r?\nfrom-cache\r?\n/m);
    expect(second.log()).toMatch(/^running\r?$/m);
    await expectNothingLeft(first);
    await expectNothingLeft(second);
  });

  it('passes the exit status of a script on', async () => {
    const job = offer({ name: 'exit 42', script: ['echo before', 'exit 42'] });
    const end = await job.ended;
    expect(end, job.log()).toMatchObject({ state: 'failed', failure_reason: 'script_failure' });
    if (isAtLeast(EXIT_CODE_FILE)) expect(end.exit_code).toBe(42);
    await expectNothingLeft(job);
  });

  it('stops the script of a canceled job before its after_script starts', async () => {
    const job = offer({
      name: 'cancel',
      // What it says each second is what brings the runner the news of its cancellation.
      script: [
        'while :; do echo x >> /tmp/ticks; sleep 0.1; done &',
        'while echo up; do sleep 1; done',
      ],
      afterScript: [
        'a=$(wc -l < /tmp/ticks); sleep 1; echo "ticks $(($(wc -l < /tmp/ticks) - a))"',
      ],
    });
    await waitFor('the script', () => /^up\r?$/m.test(job.log()), 60_000);
    job.cancel();
    expect(await job.ended, job.log()).toMatchObject({
      state: 'failed',
      failure_reason: 'job_canceled',
    });
    if (isAtLeast(GRACEFUL_CANCEL)) expect(job.log()).toMatch(/^ticks 0\r?$/m);
    await expectNothingLeft(job);
  });

  it('calls the loss of its machine a system failure', async () => {
    const job = offer({ name: 'lose the machine', script: ['echo up', 'sleep 600'] });
    await waitFor('the script', () => /^up\r?$/m.test(job.log()), 60_000);
    const machine = nameOf(coordinator, job.id);
    await host('systemctl', 'kill', '--signal=KILL', `${machine}.service`);
    expect(await job.ended, job.log()).toMatchObject({
      state: 'failed',
      failure_reason: 'runner_system_failure',
    });
    expect(job.log()).toContain(`Machine "${machine}" is gone`);
    await expectNothingLeft(job);
  });
});

function nameOf({ url }: Coordinator, id: number): string {
  return machineName({ origin: new URL(url).host, id: String(id) });
}

/** What `nspawn-runner toml` prints, with a token, and polling every second. */
async function writeConfig(directory: string, url: string, binary: string): Promise<string> {
  const settings = join(directory, 'settings.yaml');
  await writeFile(settings, `gitlab_runner: ${binary}\n`);
  const args = [BUNDLE, 'toml', `--url=${url}`, '--name=real', `--settings=${settings}`];
  const { stdout } = await execa(process.execPath, args);
  const config = join(directory, 'config.toml');
  const section = stdout.replace('"REPLACE-ME"', '"runner-token"');
  await writeFile(config, `concurrent = 1\ncheck_interval = 1\n${section}\n`, { mode: 0o600 });
  return config;
}

function startRunner(binary: string, config: string, directory: string) {
  const tmp = join(directory, 'tmp');
  return execa(
    'sh',
    ['-c', 'mkdir "$0" && TMPDIR=$0 exec "$@"', tmp, binary, 'run', '-c', config],
    {
      stdin: 'ignore',
      stdout: 'ignore',
      stderr: 'ignore',
      reject: false,
    },
  );
}
