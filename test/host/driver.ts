/** The built program, called stage by stage as GitLab Runner calls it, on the host under test. */
import { execa } from 'execa';
import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { machineName } from '../../src/machine/names.ts';

export const BUNDLE = join(import.meta.dirname, '../../dist/nspawn-runner.cjs');
export const STATE_DIR = '/var/lib/nspawn-runner';
const ORIGIN = 'gitlab.example.com';
/** The trash is swept in idle time: beside other work that takes long. */
export const SWEEP_MS = 120_000;
const SAYS_MS = 120_000;
/** Bytes in which `says` finds its line: a script may write hundreds of megabytes. */
const SAID_MAX = 65_536;

export interface StageResult {
  /** 128 and the signal's number where a signal ended the driver. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What BUILD_EXIT_CODE_FILE holds after the stage. */
  readonly exitCode: string | undefined;
  readonly durationMs: number;
}

export interface RunningStage {
  readonly pid: number;
  readonly result: Promise<StageResult>;
  /** SIGTERM to the driver's whole process group, as GitLab Runner sends it. */
  signalGroup(signal: NodeJS.Signals): void;
  /** Waits for a line of its standard output. */
  says(line: string): Promise<void>;
  /** Waits for its handler of this signal: until Node has read the program there is none. */
  handles(signal: NodeJS.Signals): Promise<void>;
}

export interface DriverJobOptions {
  readonly id?: string;
  readonly image?: string;
  readonly settings?: string;
  readonly variables?: Readonly<Record<string, string>>;
  readonly response?: Readonly<Record<string, unknown>>;
}

/** A job of our own making. Call `dispose` when done with it. */
export class DriverJob {
  readonly id: string;
  readonly machine: string;
  readonly unit: string;
  readonly tmpDir: string;
  readonly env: Record<string, string>;
  #scripts = 0;

  private constructor(id: string, tmpDir: string, env: Record<string, string>) {
    this.id = id;
    this.machine = machineName({ origin: ORIGIN, id });
    this.unit = `${this.machine}.service`;
    this.tmpDir = tmpDir;
    this.env = env;
  }

  static async create(options: DriverJobOptions = {}): Promise<DriverJob> {
    const id = options.id ?? String(randomInt(1, 2 ** 40));
    const image = options.image ?? 'debian-12';
    const tmpDir = await mkdtemp(join(tmpdir(), 'custom-executor'));
    const responseFile = join(tmpDir, 'response.json');
    const response = {
      id: 0,
      token: 'job-token',
      job_info: { name: 'test', stage: 'test', project_id: 7, project_name: 'project' },
      git_info: { repo_url: `https://gitlab-ci-token:x@${ORIGIN}/group/project.git` },
      runner_info: { timeout: 3600 },
      variables: [],
      image: { name: image },
      ...options.response,
    };
    // The id as text: JSON.stringify would round 19 digits.
    const text = JSON.stringify(response).replace('"id":0', `"id":${id}`);
    await writeFile(responseFile, text, { mode: 0o600 });
    const settingsFile = join(tmpDir, 'settings.yaml');
    await writeFile(settingsFile, options.settings ?? '{}\n');
    const env = {
      PATH: process.env['PATH'] ?? '',
      HOME: '/root',
      NSPAWN_RUNNER_SETTINGS: settingsFile,
      TMPDIR: tmpDir,
      BUILD_FAILURE_EXIT_CODE: '1',
      SYSTEM_FAILURE_EXIT_CODE: '2',
      BUILD_EXIT_CODE_FILE: join(tmpDir, 'build_exit_code'),
      JOB_RESPONSE_FILE: responseFile,
      CUSTOM_ENV_CI_JOB_ID: id,
      CUSTOM_ENV_CI_JOB_IMAGE: image,
      CUSTOM_ENV_CI_CONCURRENT_PROJECT_ID: '0',
      CUSTOM_ENV_CI_RUNNER_ID: '3',
      ...options.variables,
    };
    return new DriverJob(id, tmpDir, env);
  }

  get directory(): string {
    return join(STATE_DIR, 'jobs', this.machine);
  }

  stage(...args: string[]): Promise<StageResult> {
    return this.start(...args).result;
  }

  start(...args: string[]): RunningStage {
    const startedAt = performance.now();
    const child = execa(process.execPath, [BUNDLE, ...args], {
      env: this.env,
      extendEnv: false,
      cwd: this.tmpDir,
      stdin: 'ignore',
      detached: true,
      cleanup: false,
      reject: false,
      stripFinalNewline: false,
      maxBuffer: 1024 * 1024 * 1024,
    });
    const pid = child.pid ?? 0;
    const result = child.then(async ({ exitCode, signal, stdout, stderr }) => ({
      status: exitCode ?? 128 + (signal === undefined ? 0 : constants.signals[signal]),
      stdout,
      stderr,
      exitCode: await readFile(this.env['BUILD_EXIT_CODE_FILE'] ?? '', 'utf8').catch(
        () => undefined,
      ),
      durationMs: performance.now() - startedAt,
    }));
    let [said, isOver] = ['\n', false];
    child.stdout.on('data', (chunk: Buffer) => {
      if (said.length < SAID_MAX) said += chunk.toString();
    });
    void result.then(() => (isOver = true));
    const says = (line: string): Promise<void> =>
      waitFor(line, () => isOver || said.includes(`\n${line}\n`), SAYS_MS);
    const handles = (signal: NodeJS.Signals): Promise<void> =>
      waitFor(`handler of ${signal}`, async () => isOver || (await isCaught(pid, signal)), SAYS_MS);
    return { pid, result, says, handles, signalGroup: (signal) => process.kill(-pid, signal) };
  }

  prepare(): Promise<StageResult> {
    return this.stage('prepare');
  }

  cleanup(): Promise<StageResult> {
    return this.stage('cleanup');
  }

  async run(script: string, stage = 'build_script'): Promise<StageResult> {
    return (await this.startRun(script, stage)).result;
  }

  async startRun(script: string, stage = 'build_script'): Promise<RunningStage> {
    const directory = join(this.tmpDir, `script${this.#scripts++}`);
    await mkdir(directory, { mode: 0o700 });
    const path = join(directory, 'script');
    await writeFile(path, script, { mode: 0o700 });
    return this.start('run', path, stage);
  }

  /** Cleanup, and proof that nothing of the job is left. */
  async dispose(): Promise<void> {
    await this.cleanup();
    const left = await leftovers(this);
    await rm(this.tmpDir, { recursive: true, force: true });
    if (left.length > 0) throw new Error(`Left of job ${this.id}: ${left.join(', ')}`);
  }
}

type JobsPlace = Pick<DriverJob, 'machine' | 'directory'>;

/** What the host still has of a job; the sweep of the trash gets a moment. */
export async function leftovers(job: JobsPlace): Promise<string[]> {
  const end = performance.now() + SWEEP_MS;
  for (;;) {
    const left = await leftoversNow(job);
    if (left.length === 0 || performance.now() > end) return left;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function leftoversNow(job: JobsPlace): Promise<string[]> {
  const left: string[] = [];
  if (existsSync(job.directory)) left.push(job.directory);
  const units = await host('systemctl', 'list-units', '--all', '--plain', '--no-legend', '*');
  for (const line of units.split('\n')) if (line.includes(job.machine)) left.push(line.trim());
  const trash = await readdir(join(STATE_DIR, 'trash')).catch(() => []);
  left.push(...trash.filter((item) => item.startsWith(job.machine)));
  for (const kind of ['propagate', 'unix-export']) {
    const path = `/run/systemd/nspawn/${kind}/${job.machine}`;
    if (existsSync(path)) left.push(path);
  }
  const mounts = await readFile('/proc/1/mountinfo', 'utf8');
  if (mounts.includes(job.machine)) left.push('mounts');
  const processes = await host('ps', '-eo', 'pid,args');
  const own = processes.split('\n').filter((line) => line.includes(job.machine));
  left.push(...own.map((line) => line.trim()));
  return left;
}

/** Runs a program on the host and returns its output; a failure throws. */
export async function host(tool: string, ...args: string[]): Promise<string> {
  const { stdout } = await execa(tool, args, { stdin: 'ignore' });
  return stdout;
}

/** Whether the machine's init answers on the host side. */
export async function isUp(job: DriverJob): Promise<boolean> {
  const { stdout } = await execa('systemctl', ['is-active', job.unit], { reject: false });
  return stdout === 'active';
}

/** proc_pid_status(5): SigCgt is a mask of the signals caught, in hexadecimal. */
async function isCaught(pid: number, signal: NodeJS.Signals): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const mask = BigInt(`0x${/^SigCgt:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  return ((mask >> BigInt(constants.signals[signal] - 1)) & 1n) === 1n;
}

export async function waitFor(
  what: string,
  condition: () => Promise<boolean> | boolean,
  timeoutMs = SWEEP_MS,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`Waited ${timeoutMs} ms in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
