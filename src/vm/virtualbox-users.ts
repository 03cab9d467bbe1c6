/** Whose VirtualBox it is, and which processes it has. */
import { basename } from 'node:path';
import { HostError } from '../errors.ts';
import { findAccount, type Account } from '../tools/getent.ts';
import type { VBoxUser } from '../tools/vboxmanage.ts';
import { exists } from './paths.ts';
import type { VirtualMachine, VmContext } from './virtual-machine.ts';
import { findProcesses, type VmProcess } from './vm-processes.ts';

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export function sessionOf(user: string, { commandTimeoutSec, signal }: VmContext): VBoxUser {
  return { user, timeoutSec: commandTimeoutSec, signal };
}

/** The users among these who have ever used VirtualBox. */
export async function virtualBoxUsers(users: readonly string[]): Promise<Account[]> {
  const accounts: Account[] = [];
  for (const user of new Set(users)) {
    const account = await findAccount(user);
    if (account !== undefined && (await hasUsedVirtualBox(account))) accounts.push(account);
  }
  return accounts;
}

/** VirtualBox manual, "Global configuration data". */
export async function hasUsedVirtualBox({ home }: Account): Promise<boolean> {
  const places = [`${home}/.config/VirtualBox`, `${home}/.VirtualBox`];
  for (const place of places) if (await exists(`${place}/VirtualBox.xml`)) return true;
  return false;
}

/** Processes of VirtualBox on the host; what runs in a job's machine has a VBoxSVC there. */
export async function virtualBoxProcesses(): Promise<VmProcess[]> {
  return findProcesses((program) =>
    ['VBoxHeadless', 'VirtualBoxVM', 'VBoxSDL', 'VBoxSVC'].includes(program),
  );
}

/** The machine whose process it is: `VBoxHeadless --comment NAME --startvm UUID …`. */
export function runningMachine({ argv }: Pick<VmProcess, 'argv'>): string | undefined {
  if (basename(argv[0] ?? '') === 'VBoxSVC') return undefined;
  const at = argv.findIndex((word) => /^(--?startvm|-s)$/.test(word));
  const id = at >= 0 ? argv[at + 1] : argv.find((w) => w.startsWith('--startvm='))?.slice(10);
  return id !== undefined && UUID.test(id) ? id : undefined;
}

/** @throws HostError for an owner that the host no longer has. */
export async function accountOf(vm: VirtualMachine): Promise<Account> {
  const account = await findAccount(vm.owner);
  if (account !== undefined) return account;
  throw new HostError(`User "${vm.owner}" of virtual machine "${vm.name}" is not there any more.`);
}
