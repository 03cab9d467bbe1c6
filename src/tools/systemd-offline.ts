/** systemd's tools on a tree that is not running, with their --root= option. */
import { run } from './exec.ts';

/** systemctl(1): makes the links that the units' [Install] sections ask for. */
export async function enableUnits(tree: string, units: readonly string[]): Promise<void> {
  if (units.length > 0) await run('systemctl', [`--root=${tree}`, 'enable', '--', ...units]);
}

/** systemd-sysusers(8): makes the users that sysusers.d(5) of the tree asks for. */
export async function createSystemUsers(tree: string): Promise<void> {
  await run('systemd-sysusers', [`--root=${tree}`]);
}
