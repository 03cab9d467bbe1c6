/**
 * A program run as another user, in a unit of its own: it inherits neither our environment, marks
 * and locks nor our control group and sandbox. That counts for tools that start a daemon which
 * others then use as well, such as VirtualBox's VBoxSVC: it must neither look like one job's, nor
 * hold a job's lock, nor end with us.
 */
import { randomBytes } from 'node:crypto';
import { CommandError } from '../errors.ts';
import { run, type RunResult } from './exec.ts';
import { systemdRunArguments } from './systemd-run.ts';

/** What the unit may take longer than its program, to be stopped. */
const STOP_SEC = 10;

export interface UserCommand {
  readonly user: string;
  /** Absolute path of the program, then its arguments. */
  readonly argv: readonly string[];
  readonly timeoutSec: number;
  readonly signal?: AbortSignal | undefined;
  /** Exit statuses that are an answer and not a failure; 0 alone unless said otherwise. */
  readonly okStatuses?: readonly number[];
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * Runs it to its end, with HOME, USER, LOGNAME and SHELL of the user (systemd.exec(5), User=).
 * @throws CommandError for any other exit status and after `timeoutSec`; Stopped.
 */
export async function runAsUser(command: UserCommand): Promise<RunResult> {
  try {
    return await run('systemd-run', runAsUserArguments(command, randomBytes(6).toString('hex')), {
      timeoutSec: command.timeoutSec + STOP_SEC,
      signal: command.signal,
      ...(command.okStatuses === undefined ? {} : { okStatuses: command.okStatuses }),
    });
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    const said = error.command.stderrTail.trim();
    throw new CommandError(
      `"${command.argv.join(' ')}" of user ${command.user} did not succeed.`,
      error.command,
      { details: said === '' ? [error.message] : said.split('\n'), cause: error },
    );
  }
}

export function runAsUserArguments(
  { user, argv, timeoutSec, env }: UserCommand,
  id: string,
): string[] {
  return [
    `--uid=${user}`,
    '--collect',
    '--pipe',
    '--wait',
    ...systemdRunArguments({
      unit: `nspawn-runner-tool-${id}.service`,
      description: `Run a tool as ${user}`,
      serviceType: 'exec',
      properties: [
        // A daemon that the tool started serves others too.
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
