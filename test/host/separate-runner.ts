/** Starts emulated GitLab Runners as processes of their own; see runner-process.ts. */
import { build } from 'esbuild';
import { execa } from 'execa';
import { randomInt } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { machineName } from '../../src/machine/names.ts';
import { BUILT_PROGRAM, type EmulatedJob } from '../runner-emulator.ts';
import { STATE_DIR } from './driver.ts';
import { newProject } from './host-job.ts';
import type { KillMoment, RunnerNews, RunnerOrder, Victim } from './runner-process.ts';

export interface SeparateRunner {
  readonly pid: number;
  readonly id: string;
  readonly machine: string;
  readonly unit: string;
  readonly directory: string;
  /** Where the Runner makes its directories for jobs. */
  readonly tmpRoot: string;
  readonly news: readonly RunnerNews[];
  /** The job log so far, and what only the Runner's own log gets. */
  readonly log: () => string;
  /** Waits for a line of the log. */
  readonly says: (text: RegExp) => Promise<void>;
  /** The job's end as the Runner tells it; undefined when the Runner was killed before. */
  readonly jobEnded: Promise<Extract<RunnerNews, { type: 'end' }> | undefined>;
  /** When the Runner itself is gone. */
  readonly gone: Promise<void>;
  /** SIGKILL to the Runner alone. */
  readonly kill: () => Promise<void>;
  /** Lets a Runner that lives end in good order. */
  readonly dismiss: () => Promise<void>;
}

let program: Promise<string> | undefined;

/** Node 20 does not read TypeScript, and no more than this one file is wanted of us. */
function bundledRunner(): Promise<string> {
  program ??= (async () => {
    const outfile = join(mkdtempSync(join(tmpdir(), 'runner-process-')), 'runner.cjs');
    await build({
      entryPoints: [join(import.meta.dirname, 'runner-process.ts')],
      ...{ bundle: true, platform: 'node', format: 'cjs', target: 'node20', outfile },
      define: { 'import.meta.dirname': '__dirname' },
      logLevel: 'error',
    });
    return outfile;
  })();
  return program;
}

/** Starts a Runner of its own with one job; whoever starts it kills or dismisses it. */
export async function startSeparateRunner(order: RunnerOrder): Promise<SeparateRunner> {
  const id = order.job.id ?? randomInt(1_000_000, 2 ** 31);
  const tmpRoot = order.job.tmpRoot ?? mkdtempSync(join(tmpdir(), 'host-job-'));
  const job: EmulatedJob = {
    ...{ image: 'debian-12', program: [process.execPath, BUILT_PROGRAM] },
    ...{ ...order.job, id, tmpRoot },
  };
  const child = execa(process.execPath, [await bundledRunner()], {
    env: { PATH: process.env['PATH'] ?? '', HOME: '/root' },
    ...{ extendEnv: false, cleanup: true, reject: false, buffer: false },
    ...{ stdin: 'pipe', stdout: 'pipe', stderr: 'inherit' },
  });
  child.stdin.on('error', () => undefined);
  child.stdin.write(`${JSON.stringify({ ...order, job })}\n`);
  const { news, waitFor } = follow(child.stdout, child);
  const log = (): string => news.map((one) => (one.type === 'output' ? one.text : '')).join('');
  const machine = machineName({ origin: 'gitlab.example.com', id: String(id) });
  const gone = child.then(() => undefined);
  return {
    ...{ pid: child.pid ?? 0, id: String(id), machine, unit: `${machine}.service`, tmpRoot },
    ...{ directory: join(STATE_DIR, 'jobs', machine), news, log, gone },
    says: async (text) => {
      await waitFor(() => text.test(log()) || news.some(isEnd));
      if (!text.test(log())) {
        throw new Error(`The job ended before it said ${String(text)}: ${log()}`);
      }
    },
    jobEnded: waitFor(() => news.some(isEnd)).then(() => news.find(isEnd)),
    kill: async () => {
      child.kill('SIGKILL');
      await gone;
    },
    dismiss: async () => {
      child.stdin.end();
      await gone;
    },
  };
}

/** A Runner with one job, killed at a moment of it; a job that ends before throws. */
export async function killedRunner(
  at: KillMoment,
  whom: Victim,
  script: string,
): Promise<SeparateRunner> {
  const variables = { CI_PROJECT_ID: String(newProject()) };
  const job = { script: [script], variables };
  const runner = await startSeparateRunner({ job, kill: { at, whom } });
  if ((await runner.jobEnded) === undefined) return runner;
  throw new Error(`The job ended before it was killed: ${runner.log()}`);
}

/** Removes the roots of temporary directories; what is in them was looked at before. */
export async function removeRoots(runners: readonly SeparateRunner[]): Promise<void> {
  for (const { tmpRoot } of runners) await rm(tmpRoot, { recursive: true, force: true });
}

function isEnd(news: RunnerNews): news is Extract<RunnerNews, { type: 'end' }> {
  return news.type === 'end';
}

/** Collects news and lets others wait for some; a wait is in vain when the process has gone. */
function follow(
  stdout: NodeJS.ReadableStream,
  ended: Promise<unknown>,
): { news: RunnerNews[]; waitFor: (condition: () => boolean) => Promise<boolean> } {
  const news: RunnerNews[] = [];
  const waiting = new Set<() => void>();
  let rest = '';
  let isOver = false;
  stdout.setEncoding('utf8');
  stdout.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    news.push(...lines.map((line) => JSON.parse(line) as RunnerNews));
    for (const look of waiting) look();
  });
  void ended.then(() => {
    isOver = true;
    for (const look of waiting) look();
  });
  const waitFor = (condition: () => boolean): Promise<boolean> =>
    new Promise((resolve) => {
      const look = (): void => {
        const is = condition();
        if (!is && !isOver) return;
        waiting.delete(look);
        resolve(is);
      };
      waiting.add(look);
      look();
    });
  return { news, waitFor };
}
