/** machinectl(1). Machines are known by their unit; machined is only a helper. */
import { run } from './exec.ts';

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
