/** Whose VirtualBox it is, and which processes it has. */
import { basename } from 'node:path';
import { HostError } from '../errors.ts';
import { findAccount, type Account } from '../tools/getent.ts';
import type { VBoxUser } from '../tools/vboxmanage.ts';
import { exists } from './paths.ts';
import type { VirtualMachine, VmContext } from './virtual-machine.ts';
import { findProcesses, isInJobMachine, type VmProcess } from './vm-processes.ts';

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
  const all = await findProcesses((program) =>
    ['VBoxHeadless', 'VirtualBoxVM', 'VBoxSDL', 'VBoxSVC'].includes(program),
  );
  return all.filter((process) => !isInJobMachine(process));
}

/** `VBoxHeadless --comment NAME --startvm UUID …`, as VBoxSVC starts it. */
export function runsMachine({ argv }: Pick<VmProcess, 'argv'>, id: string): boolean {
  if (basename(argv[0] ?? '') === 'VBoxSVC') return false;
  const at = argv.findIndex((word) => word === '--startvm' || word === '-startvm' || word === '-s');
  return (at >= 0 && argv[at + 1] === id) || argv.includes(`--startvm=${id}`);
}

/** @throws HostError for an owner that the host no longer has. */
export async function accountOf(vm: VirtualMachine): Promise<Account> {
  const account = await findAccount(vm.owner);
  if (account !== undefined) return account;
  throw new HostError(`User "${vm.owner}" of virtual machine "${vm.name}" is not there any more.`);
}
