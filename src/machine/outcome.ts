/** How a script ended. Success has one form only: the machine's own word that the status was 0. */
export type ScriptOutcome =
  /** The script's own exit status, told from inside. */
  | { readonly kind: 'exited'; readonly status: number; readonly oomKills: number }
  /** The script, or the kernel for want of memory, killed the frame that runs it. */
  | { readonly kind: 'frame-killed'; readonly signal: number; readonly oomKills: number }
  | {
      readonly kind: 'machine-gone';
      readonly end: MachineEnd;
      /** It had ended before the script could start: an earlier script's log says more. */
      readonly beforeScript?: boolean;
    }
  | { readonly kind: 'not-started'; readonly facts: readonly string[] }
  /** It ran, and nothing told how it ended. */
  | { readonly kind: 'untold'; readonly facts: readonly string[] }
  /** GitLab Runner told us to stop. */
  | { readonly kind: 'stopped' };

/** Why a machine went away under its job, as the host's manager wrote it down. */
export type MachineEnd =
  /** An orderly shutdown that no one asked the host's manager for: the job's own doing. */
  | { readonly how: 'powered-off' | 'rebooted' }
  | { readonly how: 'out-of-memory' | 'deadline' }
  | { readonly how: 'killed'; readonly facts: readonly string[] };

export interface Verdict {
  readonly verdict: 'success' | 'build-failure' | 'system-failure';
  /** For BUILD_EXIT_CODE_FILE, with a build failure. */
  readonly exitCode?: number;
  /** Lines for the job's log; none when there is nothing to say. */
  readonly lines: readonly string[];
}

export interface OutcomeContext {
  readonly machine: string;
  readonly memoryLimit: string | undefined;
}

const SIGNAL_BASE = 128;

/** GitLab's verdict on a script. */
export function judge(outcome: ScriptOutcome, { machine, memoryLimit }: OutcomeContext): Verdict {
  switch (outcome.kind) {
    case 'exited': {
      const lines = oomLines(outcome.oomKills, memoryLimit);
      return outcome.status === 0
        ? { verdict: 'success', lines }
        : {
            verdict: 'build-failure',
            exitCode: outcome.status,
            lines: [...signalLines(outcome.status), ...lines],
          };
    }
    case 'frame-killed':
      return {
        verdict: 'build-failure',
        exitCode: SIGNAL_BASE + outcome.signal,
        lines: [
          `The shell that runs the script was killed by signal ${outcome.signal} from inside the machine; what the script left running was killed with it.`,
          ...oomLines(outcome.oomKills, memoryLimit),
        ],
      };
    case 'machine-gone':
      return judgeEnd(outcome, { machine, memoryLimit });
    case 'not-started':
      return {
        verdict: 'system-failure',
        lines: [`The script could not be started in machine "${machine}".`, ...outcome.facts],
      };
    case 'untold':
      return {
        verdict: 'system-failure',
        lines: [`Machine "${machine}" did not tell how the script ended.`, ...outcome.facts],
      };
    case 'stopped':
      return { verdict: 'system-failure', lines: ['The script was stopped by GitLab Runner.'] };
  }
}

function judgeEnd(
  { end, beforeScript = false }: Extract<ScriptOutcome, { kind: 'machine-gone' }>,
  { machine, memoryLimit }: OutcomeContext,
): Verdict {
  switch (end.how) {
    case 'powered-off':
    case 'rebooted':
      return {
        verdict: 'build-failure',
        exitCode: 1,
        lines: [
          `Machine "${machine}" is gone: it ${end.how === 'rebooted' ? 'rebooted' : 'powered off'} ${beforeScript ? 'before this script' : 'while the script ran'}.`,
          ...(beforeScript
            ? []
            : ['A job has one boot of its machine; take shutdown and reboot out of the script.']),
        ],
      };
    case 'out-of-memory':
      return {
        verdict: 'build-failure',
        exitCode: SIGNAL_BASE + 9,
        lines: [`Machine "${machine}" is gone.`, ...oomLines(1, memoryLimit)],
      };
    case 'deadline':
      return {
        verdict: 'system-failure',
        lines: [
          `Machine "${machine}" is gone: the job's deadline has passed and systemd ended it.`,
        ],
      };
    case 'killed':
      return {
        verdict: 'system-failure',
        lines: [`Machine "${machine}" is gone: it was ended from outside the job.`, ...end.facts],
      };
  }
}

function signalLines(status: number): string[] {
  const signal = status - SIGNAL_BASE;
  const name = SIGNALS[signal];
  return name === undefined
    ? []
    : [`Exit status ${status}: a shell says so of a command that was killed by SIG${name}.`];
}

/** signal(7), the ones that end CI scripts. */
const SIGNALS: Readonly<Record<number, string>> = {
  1: 'HUP',
  2: 'INT',
  3: 'QUIT',
  4: 'ILL',
  6: 'ABRT',
  7: 'BUS',
  8: 'FPE',
  9: 'KILL',
  11: 'SEGV',
  13: 'PIPE',
  15: 'TERM',
};

function oomLines(kills: number, memoryLimit: string | undefined): string[] {
  if (kills === 0) return [];
  const limit =
    memoryLimit === undefined ? 'the host has no more' : `the job may use ${memoryLimit}`;
  return [
    `Out of memory: the kernel killed ${kills === 1 ? 'a process' : `${kills} processes`} of this job; ${limit}.`,
  ];
}
