/**
 * Points in the life of a job at which it is killed: drawn from a seed, and turned into a moment by
 * how long a job takes on this host just now.
 */
import { randomInt } from 'node:crypto';
import type { Fuzz } from '../unit/fuzz.ts';
import { startJob, type EmulatedJob, type EmulatedResult } from '../runner-emulator.ts';
import { newProject } from './host-job.ts';
import type { KillMoment, Victim } from './runner-process.ts';
import { startSeparateRunner, type SeparateRunner } from './separate-runner.ts';
import { machineName } from '../../src/machine/names.ts';

const PHASES = ['prepare', 'run', 'cleanup'] as const;
type Phase = (typeof PHASES)[number];

/** The first call of each phase; a point's time is counted from its start. */
const BEGINS: Readonly<Record<Phase, string>> = {
  prepare: 'config',
  run: 'prepare_script',
  cleanup: 'cleanup',
};

export interface KillPoint {
  readonly index: number;
  readonly phase: Phase;
  /** Of the phase's usual time. */
  readonly fraction: number;
  readonly whom: Exclude<Victim, 'runner'>;
}

/** Phases and victims by turns, so that few points are spread as well as many. */
export function killPoints(count: number, { below }: Fuzz): KillPoint[] {
  return Array.from({ length: count }, (_, index) => ({
    index,
    phase: PHASES[index % PHASES.length] ?? 'run',
    fraction: below(10_000) / 10_000,
    whom: Math.floor(index / PHASES.length) % 2 === 0 ? 'driver' : 'driver and runner',
  }));
}

/** Milliseconds. */
export type UsualTimes = Readonly<Record<Phase, number>>;

/** The middle one of several jobs that nobody killed. */
export function usualTimes(jobs: readonly EmulatedResult[]): UsualTimes {
  const middle = (values: readonly number[]): number =>
    values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
  const phaseOf = (stage: string): Phase =>
    stage === 'run' ? 'run' : stage === 'cleanup' ? 'cleanup' : 'prepare';
  const timesOf = (phase: Phase): number[] =>
    jobs.map(({ stages }) => {
      const own = stages.filter(({ stage }) => phaseOf(stage) === phase);
      return (own.at(-1)?.endedMs ?? 0) - (own[0]?.startedMs ?? 0);
    });
  return {
    prepare: middle(timesOf('prepare')),
    run: middle(timesOf('run')),
    cleanup: middle(timesOf('cleanup')),
  };
}

/** A job with something of every kind in its machine; about a second of work. */
export function victimJob(tmpRoot: string): EmulatedJob & { readonly id: number } {
  return {
    ...{ id: randomInt(1_000_000, 2 ** 31), tmpRoot, image: 'debian-12' },
    variables: { CI_PROJECT_ID: String(newProject()) },
    script: [
      'sleep 3001 & setsid sleep 3002 & systemd-run --quiet --unit=inner sleep 3003',
      'mkdir -p /var/tmp/a/b; ln -s /etc /var/tmp/a/link; mkfifo /var/tmp/a/pipe; sleep 0.5',
    ],
    afterScript: ['sleep 0.2'],
  };
}

export interface KilledJob {
  readonly point: KillPoint;
  readonly machine: string;
  /** The call that was under way when the signal went out; undefined where none was. */
  readonly hit: string | undefined;
  /** The emulated job's end; undefined where its runner was killed too. */
  readonly end: string | undefined;
  /** The runner of a job that ended before the signal. */
  readonly runner: SeparateRunner | undefined;
}

/** Runs one job, kills it at the point, and lets a runner that lives go on as a Runner does. */
export async function killAt(
  point: KillPoint,
  usual: UsualTimes,
  tmpRoot: string,
): Promise<KilledJob> {
  const stage = BEGINS[point.phase];
  const at: KillMoment = { stage, afterMs: point.fraction * usual[point.phase] };
  const job = victimJob(tmpRoot);
  const machine = machineName({ origin: 'gitlab.example.com', id: String(job.id) });
  if (point.whom === 'driver') {
    let hit: string | undefined;
    const started = startJob({
      ...job,
      on: [
        {
          at,
          act: ({ signalDriver }) => {
            const last = started.events.findLast(({ type }) => /^stage-/.test(type));
            const isHit = signalDriver('SIGKILL') && last?.type === 'stage-start';
            hit = isHit ? (last.call.script ?? last.call.stage) : undefined;
          },
        },
      ],
    });
    const { status, failureReason } = await started.result;
    return { point, machine, hit, end: failureReason ?? status, runner: undefined };
  }
  const runner = await startSeparateRunner({ job, kill: { at, whom: point.whom } });
  const ended = await runner.jobEnded;
  const news = runner.news.find(({ type }) => type === 'kill');
  const hit = news?.type === 'kill' ? news.stage : undefined;
  return { point, machine, hit, end: ended && (ended.failureReason ?? ended.status), runner };
}
