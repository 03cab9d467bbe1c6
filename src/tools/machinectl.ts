/**
 * machinectl(1). Machines are known by their unit; machined is only a helper. It is never asked for
 * `list` or `status`: for these it reads os-release of each machine, and waits at a FIFO in its place.
 */
import { CommandError } from '../errors.ts';
import { run } from './exec.ts';
import { parseProperties } from './systemctl.ts';

export interface Asking {
  readonly timeoutSec: number;
  readonly signal: AbortSignal | undefined;
}

/** Asks the machine's init to power off and does not wait for it. False when machined has no such machine. */
export async function powerOff(machine: string): Promise<boolean> {
  const { status } = await run('machinectl', ['stop', '--', machine], {
    okStatuses: [0, 1],
    timeoutSec: 10,
  });
  return status === 0;
}

/** Ends a machine at once, or forgets one that is gone. False when machined has no such machine. */
export async function terminate(machine: string): Promise<boolean> {
  const { status } = await run('machinectl', ['terminate', '--', machine], {
    okStatuses: [0, 1],
    timeoutSec: 10,
  });
  return status === 0;
}

export interface RegisteredMachine {
  readonly leader: number | undefined;
  readonly unit: string;
  /** What registered it, in its own words. */
  readonly service: string;
  /** Absolute; undefined for a virtual machine. */
  readonly rootDirectory: string | undefined;
}

/** Undefined when machined has no such machine. */
export async function showRegisteredMachine(
  name: string,
  asking: Asking,
): Promise<RegisteredMachine | undefined> {
  // Unlike systemctl it takes one name an option.
  const properties = ['Leader', 'Unit', 'Service', 'RootDirectory'].map(
    (each) => `--property=${each}`,
  );
  const args = ['show', ...properties, '--', name];
  try {
    const values = parseProperties((await run('machinectl', args, asking)).stdout);
    const leader = Number(values['Leader']);
    const root = values['RootDirectory'];
    return {
      leader: Number.isSafeInteger(leader) && leader > 1 ? leader : undefined,
      unit: values['Unit'] ?? '',
      service: values['Service'] ?? '',
      rootDirectory: root?.startsWith('/') === true ? root : undefined,
    };
  } catch (error) {
    if (isNoMachine(error)) return undefined;
    throw error;
  }
}

/** Ends a machine at once; one that is gone is no failure. */
export async function terminateMachine(name: string, asking: Asking): Promise<void> {
  try {
    await run('machinectl', ['terminate', '--', name], asking);
  } catch (error) {
    if (!isNoMachine(error)) throw error;
  }
}

function isNoMachine(error: unknown): boolean {
  return error instanceof CommandError && /No machine '.*' known/.test(error.command.stderrTail);
}
