/** systemd-nspawn(1): the options a job's machine is booted with. */

export interface Bind {
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
}

export interface NspawnMachine {
  readonly machine: string;
  readonly binds: readonly Bind[];
  /** Set for every process in the machine, by the machine's own init. */
  readonly env: Readonly<Record<string, string>>;
  /** `none` is a loopback interface and nothing else. */
  readonly network: 'host' | 'none';
  /** Whether root in the machine keeps every capability. */
  readonly hasAllCapabilities: boolean;
  /** Allowed besides those of systemd-nspawn's own list. */
  readonly systemCalls: readonly string[];
  /** Whether fsync(2) and the like do nothing. */
  readonly suppressSync: boolean;
  /** Further options; the last of one name counts. */
  readonly options: readonly string[];
}

/** The options behind --directory=, in the order that reads best. */
export function nspawnArguments(nspawn: NspawnMachine): string[] {
  const { machine, binds, env, network, systemCalls } = nspawn;
  return [
    '--quiet',
    `--machine=${machine}`,
    '--boot',
    '--keep-unit',
    '--notify-ready=yes',
    // A .nspawn file beside the tree or in /etc must not change a job's machine.
    '--settings=no',
    '--link-journal=no',
    // What the supervisor has is for the supervisor alone.
    '--oom-score-adjust=0',
    `--resolv-conf=${network === 'none' ? 'off' : 'replace-host'}`,
    '--timezone=off',
    // Standard output is the console and nothing is ever typed.
    '--console=read-only',
    ...(network === 'none' ? ['--private-network'] : []),
    ...(nspawn.hasAllCapabilities ? ['--capability=all'] : []),
    // One list, separated by blanks.
    ...(systemCalls.length === 0 ? [] : [`--system-call-filter=${systemCalls.join(' ')}`]),
    ...(nspawn.suppressSync ? ['--suppress-sync=yes'] : []),
    ...binds.map(bindArgument),
    ...nspawn.options,
    // systemd(1) "KERNEL COMMAND LINE": in a container the options are init's arguments.
    ...Object.entries(env).map(([name, value]) => `systemd.setenv=${name}=${value}`),
  ];
}

/** --bind= or --bind-ro=, colons and backslashes in paths escaped (systemd-nspawn(1)). */
export function bindArgument({ source, target, readOnly }: Bind): string {
  const escape = (path: string): string => path.replaceAll(/[\\:]/g, '\\$&');
  return `--bind${readOnly ? '-ro' : ''}=${escape(source)}:${escape(target)}`;
}
