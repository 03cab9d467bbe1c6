/** How GitLab Runner is set up on this host; pure. */
import { ok, warning, type Finding } from './finding.ts';

/** signal(7): what `systemctl show` says for KillSignal=SIGQUIT. */
const SIGQUIT = '3';

export interface RunnerBinary {
  /** Undefined when there is none. */
  readonly path: string | undefined;
  /** The setting gitlab_runner. */
  readonly setting: string;
}

export function judgeRunnerBinary({ path, setting }: RunnerBinary): Finding {
  if (path !== undefined) return ok('gitlab-runner', path);
  const cost = 'artifacts and cache of jobs are skipped';
  return setting === 'none'
    ? warning(
        'gitlab-runner',
        `switched off by the settings: ${cost}, unless a chroot has its own`,
        'Remove `gitlab_runner: none` from the settings.',
      )
    : warning(
        'gitlab-runner',
        `not found: ${cost}`,
        'Install GitLab Runner (docs.gitlab.com/runner/install), or name its binary as gitlab_runner in the settings.',
      );
}

/** Properties of gitlab-runner.service. */
export type RunnerUnit = Readonly<Record<string, string>>;

export function judgeRunnerUnit(unit: RunnerUnit): Finding {
  const object = 'gitlab-runner.service';
  if (unit['LoadState'] !== 'loaded') {
    return warning(
      object,
      'not there',
      'Install GitLab Runner as a service; for one under another name, copy the drop-in gitlab-runner.service.d/nspawn-runner.conf.',
    );
  }
  const user = unit['User'] ?? '';
  if (user !== '' && user !== 'root') {
    return warning(
      object,
      `runs as ${user}, who cannot start machines`,
      'Remove User= from the unit: the drivers need root.',
    );
  }
  if (unit['KillMode'] !== 'mixed' || unit['KillSignal'] !== SIGQUIT) {
    return warning(
      object,
      'stopping it kills running jobs, or hits their stages with the signal that is meant for the Runner',
      'Run scripts/install, which puts the drop-in gitlab-runner.service.d/nspawn-runner.conf in place.',
    );
  }
  return ok(object, `drains when it is stopped, for up to ${unit['TimeoutStopUSec'] ?? '?'}`);
}

/** @param text config.toml; undefined when it cannot be read. */
export function judgeConfigToml(path: string, text: string | undefined): Finding {
  return text?.includes('nspawn-runner') === true
    ? ok('config.toml', `${path} calls nspawn-runner`)
    : warning(
        'config.toml',
        text === undefined
          ? `${path} is not there, or only root may read it`
          : `${path} does not call nspawn-runner`,
        '`nspawn-runner toml` prints the section that belongs there.',
      );
}

/** @param fragment the unit file of the slice, empty when systemd made the slice up. */
export function judgeSlice(slice: string, fragment: string): Finding {
  return fragment === ''
    ? warning(
        slice,
        'has no unit file: jobs run, without accounting for all of them together',
        'Run scripts/install.',
      )
    : ok(slice, fragment);
}
