/**
 * A program run as another user, in a unit of its own: it inherits neither our environment, marks
 * and locks nor our control group and sandbox. That counts for tools that start a daemon which
 * others then use as well, such as VirtualBox's VBoxSVC: it must neither look like one job's, nor
 * hold a job's lock, nor end with us.
 */
import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CommandError, Stopped, type CommandFacts } from '../errors.ts';
import { start } from './exec.ts';
import { systemdRunArguments } from './systemd-run.ts';

/** What the unit may take longer than its program, to be stopped. */
const STOP_SEC = 10;
/** A daemon may hold the pipes although it has no use for them. */
const PIPE_WAIT_MS = 500;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
const STDERR_TAIL_LINES = 20;
const PIPES = { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' } as const;
const KILL_ROUNDS = 20;
const KILL_WAIT_MS = 50;

export interface UserOutput {
  readonly stdout: string;
  readonly stderr: string;
}

export interface UserCommand {
  readonly user: string;
  /** Absolute path of the program, then its arguments. */
  readonly argv: readonly string[];
  readonly timeoutSec: number;
  readonly signal?: AbortSignal | undefined;
  readonly env?: Readonly<Record<string, string>>;
  /** File names of programs that it may leave running, for others use them too. */
  readonly daemons?: readonly string[];
}

/**
 * Runs it to its end, with HOME, USER, LOGNAME and SHELL of the user (systemd.exec(5), User=), and
 * ends what it leaves behind besides `daemons`: a process that holds our pipes would make us wait.
 * @throws CommandError for an exit status other than 0 and after `timeoutSec`; Stopped.
 */
export async function runAsUser(command: UserCommand): Promise<UserOutput> {
  const unit = `nspawn-runner-tool-${randomBytes(6).toString('hex')}.service`;
  const argv = ['systemd-run', ...runAsUserArguments(command, unit)];
  const startedAt = performance.now();
  const child = await start('systemd-run', argv.slice(1), PIPES);
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  const end = (): void => void endUnit(unit, []).then(() => child.kill('SIGKILL'));
  const timer = setTimeout(end, (command.timeoutSec + STOP_SEC) * 1000);
  if (command.signal?.aborted === true) end();
  else command.signal?.addEventListener('abort', end, { once: true });
  const { status, signal } = await child.ended;
  clearTimeout(timer);
  command.signal?.removeEventListener('abort', end);
  await endUnit(unit, command.daemons ?? []);
  const output = { stdout: await stdout(), stderr: await stderr() };
  const durationMs = performance.now() - startedAt;
  if (command.signal?.aborted === true) throw new Stopped(`${command.argv.join(' ')} was stopped.`);
  // systemd counts an end by TERM as a success.
  const isLate = durationMs >= command.timeoutSec * 1000;
  if (status === 0 && !isLate) return output;
  const timedOutAfterSec = isLate ? command.timeoutSec : undefined;
  const stderrTail = output.stderr.split('\n').slice(-STDERR_TAIL_LINES).join('\n');
  const facts = { argv, exitStatus: status, signal, timedOutAfterSec, stderrTail, durationMs };
  throw failure(command, facts);
}

function failure({ argv, user }: UserCommand, facts: CommandFacts): CommandError {
  const what = `"${argv.join(' ')}" of user ${user}`;
  const how =
    facts.timedOutAfterSec === undefined
      ? `ended with ${facts.signal ?? `exit status ${facts.exitStatus ?? '?'}`}.`
      : `did not end within ${facts.timedOutAfterSec} s.`;
  const said = facts.stderrTail.trim();
  return new CommandError(`${what} ${how}`, facts, {
    details: said === '' ? [] : said.split('\n'),
  });
}

/** Reads a stream; what the returned function gives is what came until its end, or a moment from then. */
function collect(stream: NodeJS.ReadableStream | null): () => Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream?.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= MAX_OUTPUT_BYTES) chunks.push(chunk);
  });
  const closed = new Promise<void>((resolve) => {
    if (stream === null) resolve();
    else stream.once('end', resolve).once('error', () => resolve());
  });
  return async () => {
    await Promise.race([closed, sleep(PIPE_WAIT_MS, undefined, { ref: false })]);
    return Buffer.concat(chunks).toString('utf8');
  };
}

/** Kills all of a unit but `daemons`, round after round: what is being killed may start others. */
async function endUnit(unit: string, daemons: readonly string[]): Promise<void> {
  for (let round = 0; round < KILL_ROUNDS; round++) {
    let isAnyLeft = false;
    for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
      const cgroups = await readOrEmpty(`/proc/${pid}/cgroup`);
      if (!isInUnit(cgroups, unit) || (await isOneOf(pid, daemons))) continue;
      isAnyLeft = true;
      killIfThere(Number(pid));
    }
    if (!isAnyLeft) return;
    await sleep(KILL_WAIT_MS);
  }
}

/** Whether /proc/PID/cgroup (cgroups(7)) names the unit. */
export function isInUnit(cgroups: string, unit: string): boolean {
  return cgroups.split('\n').some((line) => line.split('/').includes(unit));
}

async function isOneOf(pid: string, programs: readonly string[]): Promise<boolean> {
  const [program = ''] = (await readOrEmpty(`/proc/${pid}/cmdline`)).split('\0');
  return programs.includes(basename(program));
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function readOrEmpty(file: string): Promise<string> {
  return readFile(file, 'utf8').catch(() => '');
}

export function runAsUserArguments(
  { user, argv, timeoutSec, env }: UserCommand,
  unit: string,
): string[] {
  return [
    `--uid=${user}`,
    '--collect',
    '--pipe',
    '--wait',
    ...systemdRunArguments({
      unit,
      description: `Run a tool as ${user}`,
      serviceType: 'exec',
      properties: [
        // Its daemons must outlive it, see endUnit.
        'KillMode=process',
        `RuntimeMaxSec=${timeoutSec}`,
        `TimeoutStopSec=${STOP_SEC / 2}`,
        'WorkingDirectory=-~',
      ],
      env: { LC_ALL: 'C.UTF-8', ...env },
      argv,
    }),
  ];
}
