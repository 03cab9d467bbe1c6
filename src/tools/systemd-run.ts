/** systemd-run(1): transient units on the host and in machines. */
import { run, start, type RunOptions, type RunResult, type Started } from './exec.ts';

export interface TransientUnit {
  readonly unit: string;
  readonly description?: string;
  readonly slice?: string;
  readonly serviceType: 'notify' | 'oneshot' | 'exec';
  /** systemd.directives(7), in the order given. */
  readonly properties: readonly `${string}=${string}`[];
  /** Environment of the unit's processes; systemctl show tells it to everyone, so no secrets. */
  readonly env?: Readonly<Record<string, string>>;
  /** Absolute path of the program, then its arguments. */
  readonly argv: readonly string[];
}

export interface MachineUnit extends TransientUnit {
  readonly machine: string;
  readonly user: string;
}

/**
 * The arguments of systemd-run for a unit. 252 expands `$` in the program's arguments and has no
 * switch against it (--expand-environment= came with 254), so a `$` is doubled where it stands.
 */
export function systemdRunArguments(unit: TransientUnit): string[] {
  return [
    '--quiet',
    `--unit=${unit.unit}`,
    `--service-type=${unit.serviceType}`,
    ...(unit.description === undefined ? [] : [`--description=${unit.description}`]),
    ...(unit.slice === undefined ? [] : [`--slice=${unit.slice}`]),
    ...unit.properties.map((property) => `--property=${property}`),
    ...Object.entries(unit.env ?? {}).map(([name, value]) => `--setenv=${name}=${value}`),
    '--',
    ...unit.argv.map((word) => word.replaceAll('$', '$$$$')),
  ];
}

/**
 * Starts a unit on the host and returns when it is ready; a unit that fails is unloaded.
 * @param options `env` is the client's own, besides the tool's.
 * @throws CommandError when it did not become ready; Stopped when `signal` ended the wait.
 */
export function startUnit(
  unit: TransientUnit,
  options: Pick<RunOptions, 'signal' | 'env'> & { readonly timeoutSec: number },
): Promise<RunResult> {
  return run('systemd-run', ['--collect', ...systemdRunArguments(unit)], options);
}

/** Asks for a unit on the host and does not wait for it. */
export async function startUnitNoBlock(unit: TransientUnit): Promise<void> {
  await run('systemd-run', ['--collect', '--no-block', ...systemdRunArguments(unit)]);
}

/**
 * Starts a unit in a machine on an open file as standard input, with its output on pipes to us.
 * The exit status of the client is a hint and no proof: 0 when the machine dies, 0 when the
 * machine's manager re-executes.
 * @param clientEnv the client's own environment, besides the tool's.
 */
export function startInMachine(
  unit: MachineUnit,
  stdin: number,
  clientEnv: Readonly<Record<string, string>>,
): Promise<Started> {
  const args = [`--machine=${unit.machine}`, `--uid=${unit.user}`, '--pipe', '--wait'];
  return start('systemd-run', [...args, ...systemdRunArguments(unit)], {
    stdin,
    stdout: 'pipe',
    stderr: 'pipe',
    env: clientEnv,
  });
}
