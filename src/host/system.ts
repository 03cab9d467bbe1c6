/** What the host's kernel, systemd and Node must offer; pure. */
import { systemdVersion } from '../tools/version.ts';
import { failing, ok, warning, type Finding } from './finding.ts';

const SYSTEMD_MIN = 252;
const NODE_MIN: readonly [number, number] = [20, 19];
const NODE_FAST_MAJOR = 22;
/** The kernel's own default is 128, which about fifteen machines use up. */
const INOTIFY_INSTANCES = 1024;
/** The kernel's own default for users other than root is 200, for all machines together. */
const KEYS = 2000;
/** The kernel's own default is 32768; systemd raises it to 4194304. */
const PID_MAX = 131_072;
/** What limits.* in the settings need. */
const CONTROLLERS = ['cpu', 'memory', 'pids'];

export function judgeUser(uid: number | undefined): Finding {
  return uid === 0
    ? ok('user', 'root')
    : failing(
        'user',
        'not root; some of what follows is guessed',
        'Run `sudo nspawn-runner check`; GitLab Runner must run as root as well.',
      );
}

export function judgeNode(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1])) {
    return failing(
      'node',
      `${version}; ${NODE_MIN.join('.')} or newer is needed`,
      'Install a newer Node and run scripts/install again.',
    );
  }
  return major < NODE_FAST_MAJOR
    ? warning(
        'node',
        `${version}: starts about 2.5 times as slowly as ${NODE_FAST_MAJOR}, which costs a job a quarter of a second`,
        `Install Node ${NODE_FAST_MAJOR} or newer and run scripts/install again.`,
      )
    : ok('node', version);
}

export interface SystemdFacts {
  /** sd_booted(3). */
  readonly isInit: boolean;
  /** First lines of `--version`. */
  readonly systemctl: string | undefined;
  readonly nspawn: string | undefined;
}

export function judgeSystemd({ isInit, systemctl, nspawn }: SystemdFacts): Finding[] {
  const version = systemdVersion(systemctl ?? '');
  const manager = !isInit
    ? failing('systemd', 'is not PID 1 here', 'Run jobs on a host that systemd has booted.')
    : version === undefined || version < SYSTEMD_MIN
      ? failing(
          'systemd',
          `${version ?? 'unknown version'}; ${SYSTEMD_MIN} or newer is needed to own job machines`,
          'Use Debian 12, Ubuntu 24.04, RHEL 9 or newer.',
        )
      : ok('systemd', `${version}`);
  const machines =
    nspawn === undefined
      ? failing(
          'systemd-nspawn',
          'not installed',
          'Install the package systemd-container (`apt-get install systemd-container`).',
        )
      : ok('systemd-nspawn', `${systemdVersion(nspawn) ?? nspawn}`);
  return [manager, machines];
}

/** @param problem why machined did not answer; undefined when it did. */
export function judgeMachined(problem: string | undefined): Finding {
  return problem === undefined
    ? ok('machined', 'answers on the system bus')
    : failing(
        'machined',
        `does not answer: ${problem}`,
        'Look at `systemctl status dbus.service systemd-machined.service`.',
      );
}

export interface CgroupFacts {
  readonly layout: 'v2' | 'hybrid' | 'v1';
  /** Controllers of the unified hierarchy. */
  readonly controllers: readonly string[];
}

export function judgeCgroups({ layout, controllers }: CgroupFacts): Finding {
  if (layout === 'v1') {
    return failing(
      'cgroups',
      'version 1 only',
      'Boot with the kernel option systemd.unified_cgroup_hierarchy=1.',
    );
  }
  if (layout === 'hybrid') {
    return warning(
      'cgroups',
      'hybrid: version 1 holds the controllers',
      'Boot with the kernel option systemd.unified_cgroup_hierarchy=1.',
    );
  }
  const missing = CONTROLLERS.filter((name) => !controllers.includes(name));
  return missing.length === 0
    ? ok('cgroups', 'version 2')
    : warning(
        'cgroups',
        `version 2 without ${missing.join(', ')}: such limits in the settings are not enforced`,
        'Make the controllers available to this host (cgroup_disable= on the kernel command line, or the container it runs in).',
      );
}

export interface KernelLimits {
  readonly inotifyInstances: number | undefined;
  readonly keys: number | undefined;
  readonly pidMax: number | undefined;
}

/** Only what is too small for many machines at once; a limit that cannot be read is left out. */
export function judgeKernelLimits(limits: KernelLimits): Finding[] {
  const rows: readonly [string, number | undefined, number, number, string][] = [
    ['fs.inotify.max_user_instances', limits.inotifyInstances, INOTIFY_INSTANCES, 8192, 'machines'],
    ['kernel.keys.maxkeys', limits.keys, KEYS, 20_000, 'jobs that run as the same user'],
    ['kernel.pid_max', limits.pidMax, PID_MAX, 4_194_304, 'processes'],
  ];
  return rows.flatMap(([key, value, least, good, what]) => {
    if (value === undefined) return [];
    return value >= least
      ? [ok(key, `${value}`)]
      : [
          warning(
            key,
            `${value}, little for many ${what} at once`,
            `Put \`${key} = ${good}\` into /etc/sysctl.d/60-nspawn-runner.conf and run \`sysctl --system\`.`,
          ),
        ];
  });
}
