/**
 * systemd's tools on a tree that is not running: the tree's own, by chroot(1), because a host that
 * only builds trees need not have systemd. A tree without them cannot boot, which its check tells.
 */
import { run } from './exec.ts';

/** chroot(1) "EXIT STATUS": the command is not there. */
const NOT_FOUND = 127;

/** systemctl(1): makes the links that the units' [Install] sections ask for. */
export async function enableUnits(tree: string, units: readonly string[]): Promise<void> {
  if (units.length === 0) return;
  await runIn(tree, 'systemctl', ['--root=/', 'enable', '--', ...units]);
}

/** systemd-sysusers(8): makes the users that sysusers.d(5) of the tree asks for. */
export async function createSystemUsers(tree: string): Promise<void> {
  await runIn(tree, 'systemd-sysusers', []);
}

async function runIn(tree: string, tool: string, args: readonly string[]): Promise<void> {
  await run('chroot', [tree, tool, ...args], { okStatuses: [0, NOT_FOUND] });
}
