/** One check in a machine that is tried: a script that succeeds, or what it said last. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { judge, type ScriptOutcome } from './outcome.ts';
import type { MachineRecord } from './record.ts';
import { runScript } from './run-script.ts';

/** A check may wait for a service that has to start. */
export const CHECK_SEC = 120;
const TAIL_LINES = 12;
const MAX_LINE_LENGTH = 4096;

export interface TrialCheck {
  readonly name: string;
  /** For the shell and the user that jobs get; the first command that fails ends it. */
  readonly script: string;
}

export interface TrialFailure {
  /** Of the check, or `systemd`. */
  readonly name: string;
  readonly sentence: string;
  /** Of what it printed. */
  readonly lastLines: readonly string[];
}

/** What jobs need of every image; `hasRunner` where the host lends its gitlab-runner. */
export function builtInChecks(hasRunner: boolean): readonly TrialCheck[] {
  return [
    { name: 'shell', script: 'cd && : >"$TMPDIR/.trial" && rm "$TMPDIR/.trial"' },
    { name: 'git', script: 'git --version' },
    {
      name: 'dbus',
      script:
        'busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus GetId >/dev/null',
    },
    ...(hasRunner ? [{ name: 'gitlab-runner', script: 'gitlab-runner --version' }] : []),
  ];
}

export interface TrialScript {
  readonly record: MachineRecord;
  readonly check: TrialCheck;
  /** The machine's, on the host. */
  readonly directory: string;
  readonly signal: AbortSignal;
  readonly onLine: (line: string) => void;
}

export interface CheckEnd {
  /** Undefined when it passed. */
  readonly failure: TrialFailure | undefined;
  readonly isMachineGone: boolean;
}

export async function runCheck(trial: TrialScript): Promise<CheckEnd> {
  const { record, check, onLine } = trial;
  const lastLines: string[] = [];
  const outcome = await runBounded(trial, (line) => {
    onLine(line);
    lastLines.push(line);
    if (lastLines.length > TAIL_LINES) lastLines.shift();
  });
  const sentence = checkSentence(check.name, outcome, record);
  return {
    failure: sentence === undefined ? undefined : { name: check.name, sentence, lastLines },
    isMachineGone: outcome.kind === 'machine-gone',
  };
}

/** Why the check did not pass; undefined when it did. */
export function checkSentence(
  name: string,
  outcome: ScriptOutcome,
  context: Pick<MachineRecord, 'machine' | 'memoryLimit'>,
): string | undefined {
  if (outcome.kind === 'stopped') return `Check "${name}" did not end within ${CHECK_SEC} s.`;
  const { machine, memoryLimit } = context;
  const { verdict, lines } = judge(outcome, { machine, memoryLimit });
  if (verdict === 'success') return undefined;
  if (outcome.kind !== 'exited') return `Check "${name}" did not pass. ${lines.join(' ')}`;
  return [`Check "${name}" ended with exit status ${outcome.status}.`, ...lines].join(' ');
}

async function runBounded(
  { record, check, directory, signal }: TrialScript,
  onLine: (line: string) => void,
): Promise<ScriptOutcome> {
  const script = join(directory, 'check');
  try {
    await writeFile(script, `set -eu\n${check.script}\n`, { mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    // The directory goes with the machine.
    return { kind: 'machine-gone', end: { how: 'killed', facts: [] } };
  }
  const [stdout, stderr] = [lineSink(onLine), lineSink(onLine)];
  const outcome = await runScript({
    ...{ record, script, stage: 'check', shell: record.shell, output: { stdout, stderr } },
    signal: AbortSignal.any([signal, AbortSignal.timeout(CHECK_SEC * 1000)]),
  });
  for (const sink of [stdout, stderr]) sink.end();
  return outcome;
}

/** Lines of UTF-8; a line without an end is cut. */
function lineSink(onLine: (line: string) => void): Writable {
  const decoder = new TextDecoder();
  let rest = '';
  const take = (text: string): void => {
    const lines = (rest + text).split('\n');
    rest = (lines.pop() ?? '').slice(0, MAX_LINE_LENGTH);
    for (const line of lines) onLine(line);
  };
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      take(decoder.decode(chunk, { stream: true }));
      done();
    },
    final(done) {
      if (rest !== '') take('\n');
      done();
    },
  });
}
