/**
 * An emulated GitLab Runner as a process of its own, so that it can be killed: separate-runner.ts
 * bundles and starts it. Reads one order from standard input, tells what happens on standard
 * output, and lives until its standard input ends, as a Runner that waits for its next job.
 */
import { startJob, type EmulatedJob, type Moment } from '../runner-emulator.ts';

export interface RunnerOrder {
  /** What JSON can hold of it. */
  readonly job: EmulatedJob;
  /** SIGKILL, when and to whom. */
  readonly kill?: { readonly at: KillMoment; readonly whom: Victim } | undefined;
}

/** What JSON can hold of a moment; `line` is a whole line of the job log. */
export type KillMoment = Extract<Moment, { readonly stage: string }> | { readonly line: string };

/** `driver` is the whole process group of the call under way. */
export type Victim = 'driver' | 'runner' | 'driver and runner';

export type RunnerNews =
  | { readonly type: 'output'; readonly text: string }
  | { readonly type: 'temp-dir'; readonly path: string }
  /** The call that was under way; none between two calls. */
  | { readonly type: 'kill'; readonly stage: string | undefined }
  | { readonly type: 'end'; readonly status: string; readonly failureReason: string | undefined };

function tell(news: RunnerNews): void {
  process.stdout.write(`${JSON.stringify(news)}\n`);
}

async function runOrder({ job, kill }: RunnerOrder): Promise<void> {
  const kills =
    kill === undefined
      ? []
      : [
          {
            at: 'line' in kill.at ? { log: new RegExp(`^${kill.at.line}$`, 'm') } : kill.at,
            act: ({ signalDriver }: { signalDriver: (signal: NodeJS.Signals) => boolean }) => {
              if (kill.whom !== 'runner') signalDriver('SIGKILL');
              tell({ type: 'kill', stage: currentStage() });
              if (kill.whom !== 'driver') process.kill(process.pid, 'SIGKILL');
            },
          },
        ];
  let seen = 0;
  const tellTempDirs = (): void => {
    for (const event of started.events.slice(seen)) {
      if (event.type === 'temp-dir') tell({ type: 'temp-dir', path: event.path });
    }
    seen = started.events.length;
  };
  const started = startJob({
    ...job,
    on: kills,
    onOutput: (chunk) => {
      // The first line comes while the job is being started.
      queueMicrotask(tellTempDirs);
      tell({ type: 'output', text: chunk.toString() });
    },
  });
  const currentStage = (): string | undefined => {
    const last = started.events.findLast(({ type }) => /^stage-/.test(type));
    return last?.type === 'stage-start' ? (last.call.script ?? last.call.stage) : undefined;
  };
  const { status, failureReason } = await started.result;
  tell({ type: 'end', status, failureReason });
}

let text = '';
let hasOrder = false;
process.stdin.setEncoding('utf8');
process.stdin.on('data', (chunk: string) => {
  text += chunk;
  const end = text.indexOf('\n');
  if (hasOrder || end < 0) return;
  hasOrder = true;
  void runOrder(JSON.parse(text.slice(0, end)) as RunnerOrder);
});
