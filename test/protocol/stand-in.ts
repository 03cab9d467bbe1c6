/** The stand-in driver of the engine's tests, with a directory of its own for each job. */
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { runJob, startJob, type EmulatedJob, type EmulatedResult } from '../runner-emulator.ts';

const DRIVER = join(import.meta.dirname, '../fixtures/driver/driver.sh');

export interface StandIn {
  readonly base: string;
  readonly run: (job: EmulatedJob) => Promise<EmulatedResult>;
  readonly start: (job: EmulatedJob) => ReturnType<typeof startJob>;
  /** One line a call: name, `in-tmpdir`, `response`, `MACHINE=…`, CI_JOB_STATUS. */
  readonly calls: () => Promise<readonly string[]>;
  /** The environment of the last call of a name; values of one name in the order they came. */
  readonly environment: (name: string) => Promise<ReadonlyMap<string, string>>;
  /** The job directories that are left. */
  readonly tempDirs: () => Promise<readonly string[]>;
}

export async function standIn(): Promise<StandIn> {
  const base = await mkdtemp(join(tmpdir(), 'stand-in-'));
  onTestFinished(() => rm(base, { recursive: true, force: true }));
  const settings = (job: EmulatedJob): EmulatedJob => ({
    program: ['bash', DRIVER],
    tmpRoot: base,
    ...job,
    timing: { gracefulKillSec: 5, forceKillSec: 1, prepareRetrySec: 0.02, ...job.timing },
    env: { BASE: base, ...job.env },
  });
  return {
    base,
    run: (job) => runJob(settings(job)),
    start: (job) => startJob(settings(job)),
    calls: async () => (await readFile(join(base, 'calls'), 'utf8')).trimEnd().split('\n'),
    environment: async (name) => {
      const text = await readFile(join(base, `env.${name}`), 'utf8');
      const entries = text.split('\0').filter((entry) => entry.includes('='));
      return new Map(
        entries.map((entry) => {
          const at = entry.indexOf('=');
          return [entry.slice(0, at), entry.slice(at + 1)];
        }),
      );
    },
    tempDirs: async () =>
      (await readdir(base)).filter((name) => name.startsWith('custom-executor')),
  };
}
