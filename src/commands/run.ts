/** GitLab's run stage: one script in the job's machine. The hot path: it reads no settings. */
import type { StageArguments } from '../cli.ts';
import { HostError, UsageError } from '../errors.ts';
import { clearExitCode, writeExitCode } from '../gitlab/exit-code-file.ts';
import { verdictStatus } from '../gitlab/exit-status.ts';
import { readJob } from '../gitlab/job.ts';
import { say } from '../log.ts';
import { jobDirectory } from '../machine/job-directory.ts';
import { findMachineEnd } from '../machine/machine-end.ts';
import { markedEnvironment } from '../marks.ts';
import { machineName } from '../machine/names.ts';
import { judge, type ScriptOutcome } from '../machine/outcome.ts';
import { isOfOtherAttempt } from '../machine/other-attempt.ts';
import { readRecord } from '../machine/record.ts';
import { runScript } from '../machine/run-script.ts';
import { orWhenRunnerEnds } from '../machine/runner-watch.ts';
import { requireRoot } from '../root.ts';
import { stageState } from '../stage-state.ts';
import { markChildren } from '../tools/exec.ts';

/** How far back the journal is searched for the end of a machine that has left no record. */
const JOURNAL_WINDOW_SEC = 3600;

export async function runStage(args: StageArguments, signal: AbortSignal): Promise<number> {
  requireRoot('run');
  clearExitCode();
  const [script, stage = 'script'] = args.positionals;
  if (script === undefined) throw new UsageError('run: expected the path of a script.');
  const { stateDir, trustJobIdVariable } = await stageState(args.settings);
  const job = readJob({ ...args, trustJobIdVariable });
  if (job === undefined) throw new UsageError('run: there is no job.');
  const machine = machineName(job);
  markChildren(markedEnvironment({ machine, tag: job.tag }));
  const record = readRecord(jobDirectory(stateDir, machine).record);
  if (record !== undefined && isOfOtherAttempt(record, job.tmpDir)) {
    throw new HostError(`Machine "${machine}" belongs to another attempt of job "${job.id}".`, {
      details: [`It was made for "${String(record.tmpDir)}", whose GitLab Runner lives.`],
      hint: 'GitLab has given the id twice, as after a restore: the later job has the machine.',
    });
  }
  const outcome: ScriptOutcome =
    record === undefined
      ? {
          kind: 'machine-gone',
          end: await findMachineEnd(machine, secondsAgo(JOURNAL_WINDOW_SEC)),
          beforeScript: true,
        }
      : await runScript({
          record,
          script,
          stage,
          shell: args.shell ?? record.shell,
          signal: orWhenRunnerEnds(signal, job.tmpDir),
          output: process,
        });
  const verdict = judge(outcome, { machine, memoryLimit: record?.memoryLimit });
  for (const line of verdict.lines) say(line);
  if (verdict.verdict === 'success') return 0;
  if (verdict.exitCode !== undefined) writeExitCode(verdict.exitCode);
  return verdictStatus(verdict.verdict, process.env);
}

function secondsAgo(seconds: number): number {
  return Math.floor(Date.now() / 1000) - seconds;
}
