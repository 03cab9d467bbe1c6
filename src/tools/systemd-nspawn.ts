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
}

/** The options behind --directory=, in the order that reads best. */
export function nspawnArguments({ machine, binds, env }: NspawnMachine): string[] {
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
    '--resolv-conf=replace-host',
    '--timezone=off',
    // Standard output is the console and nothing is ever typed.
    '--console=read-only',
    ...binds.map(bindArgument),
    // systemd(1) "KERNEL COMMAND LINE": in a container the options are init's arguments.
    ...Object.entries(env).map(([name, value]) => `systemd.setenv=${name}=${value}`),
  ];
}

/** --bind= or --bind-ro=, colons and backslashes in paths escaped (systemd-nspawn(1)). */
export function bindArgument({ source, target, readOnly }: Bind): string {
  const escape = (path: string): string => path.replaceAll(/[\\:]/g, '\\$&');
  return `--bind${readOnly ? '-ro' : ''}=${escape(source)}:${escape(target)}`;
}
