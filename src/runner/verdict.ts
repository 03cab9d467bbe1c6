/** What a driver's exit means to GitLab Runner (docs/executors/custom.md, "Error handling"). */

export type DriverEnd =
  | {
      readonly kind: 'exited';
      readonly status: number | undefined;
      readonly signal: string | undefined;
    }
  | { readonly kind: 'not-started'; readonly reason: string }
  /** It outlived KILL, or something still holds its pipes. */
  | { readonly kind: 'gave-up'; readonly pid: number };

export type Verdict =
  | { readonly kind: 'success' }
  /** The job failed. GitLab gets `exitCode`, or none where that is 0. */
  | { readonly kind: 'build-failure'; readonly exitCode: number; readonly message: string }
  | { readonly kind: 'system-failure'; readonly message: string }
  /** The Runner's settings do not make sense together with what config said: no retry. */
  | { readonly kind: 'configuration-error'; readonly message: string };

export type FailedVerdict = Exclude<Verdict, { readonly kind: 'success' }>;

export function isRefused(value: object): value is FailedVerdict {
  return 'kind' in value;
}

const INTEGER = /^[+-]?\d+$/;

/**
 * @param exitCodeText what BUILD_EXIT_CODE_FILE holds after this very exit; undefined if there is
 *   no such file. The Runner never deletes the file, so an old one counts.
 */
export function judgeExit(end: DriverEnd, exitCodeText: string | undefined): Verdict {
  switch (end.kind) {
    case 'not-started':
      return { kind: 'system-failure', message: `failed to start command: ${end.reason}` };
    case 'gave-up':
      return {
        kind: 'system-failure',
        message: `failed to kill process PID=${end.pid}, likely process is dormant`,
      };
    case 'exited':
      return judgeStatus(end.status ?? -1, exitCodeText);
  }
}

function judgeStatus(status: number, exitCodeText: string | undefined): Verdict {
  if (status === 0) return { kind: 'success' };
  if (status === 1) return judgeBuildFailure(exitCodeText);
  if (status === 2) return { kind: 'system-failure', message: 'exit status 2' };
  return unknown(status);
}

function judgeBuildFailure(text: string | undefined): Verdict {
  if (text === undefined) {
    return { kind: 'build-failure', exitCode: 1, message: 'exit status 1' };
  }
  const line = (text.split('\n')[0] ?? '').replace(/\r$/, '');
  // The Runner's own words for this are those of a status it does not know.
  if (!INTEGER.test(line)) return unknown(2);
  const exitCode = Number(line);
  return { kind: 'build-failure', exitCode, message: `exit status ${exitCode}` };
}

function unknown(status: number): Verdict {
  return {
    kind: 'system-failure',
    message: `unknown Custom executor executable exit code ${status}`,
  };
}
