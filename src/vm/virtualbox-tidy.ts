/** What VirtualBox keeps of dead jobs besides machines: disks, and networks between host and machines. */
import { readFile } from 'node:fs/promises';
import { findProgram } from '../tools/find-program.ts';
import { findAccount, parsePasswd } from '../tools/getent.ts';
import {
  closeDisk,
  isInUse,
  isUnknownObject,
  listDisks,
  listHostOnlyInterfaces,
  listMachines,
  removeHostOnlyInterface,
  showMachine,
  VBOX_PROGRAMS,
  type VBoxUser,
} from '../tools/vboxmanage.ts';
import { exists, isInside } from './paths.ts';
import type { VmDestroyContext } from './virtual-machine.ts';
import {
  hasUsedVirtualBox,
  sessionOf,
  virtualBoxProcesses,
  virtualBoxUsers,
} from './virtualbox-users.ts';

/**
 * Disks below the jobs' directories that no machine uses, of a machine whose making was cut off:
 * `unregistervm` cannot see them (gitlab-runner, helpers/virtualbox/control.go, finds them so too).
 */
export async function tidyVirtualBox(context: VmDestroyContext): Promise<void> {
  if ((await findProgram(...VBOX_PROGRAMS)) === undefined) return;
  for (const { name } of await virtualBoxUsers(context.users)) {
    const session = sessionOf(name, context);
    const disks = await listDisks(session);
    const inside: typeof disks = [];
    for (const disk of disks) {
      if (await isInside(disk.location, context.directories)) inside.push(disk);
    }
    if (inside.length === 0) continue;
    const used = await usedDisks(session);
    // Children first: a disk with children cannot be closed.
    for (const disk of childrenFirst(inside.filter(({ id }) => !used.has(id)))) {
      await close(session, disk.id, await exists(disk.location));
    }
  }
}

async function close(session: VBoxUser, id: string, andDelete: boolean): Promise<void> {
  try {
    await closeDisk(session, id, andDelete);
  } catch (error) {
    if (!isUnknownObject(error) && !isInUse(error)) throw error;
  }
}

async function usedDisks(session: VBoxUser): Promise<ReadonlySet<string>> {
  const used = new Set<string>();
  for (const id of await listMachines(session)) {
    for (const { medium } of (await showMachine(session, id))?.attachments ?? []) used.add(medium);
  }
  return used;
}

/** Pure. */
export function childrenFirst<
  T extends { readonly id: string; readonly parent: string | undefined },
>(disks: readonly T[]): T[] {
  const byId = new Map(disks.map((disk) => [disk.id, disk]));
  const depth = (disk: T, seen: number): number => {
    const parent = disk.parent === undefined ? undefined : byId.get(disk.parent);
    return parent === undefined || seen > disks.length ? seen : depth(parent, seen + 1);
  };
  return [...disks].sort((a, b) => depth(b, 0) - depth(a, 0));
}

/**
 * Removes those of these networks that no machine of any state refers to any more. The networks
 * are the host's, so none goes while users have machines that we may not look at.
 */
export async function removeUnusedNetworks(
  networks: readonly string[],
  session: VBoxUser,
  context: VmDestroyContext,
): Promise<void> {
  if (networks.length === 0 || (await hasOtherUsers(context.users))) return;
  const left = new Set(networks);
  for (const { name } of await virtualBoxUsers(context.users)) {
    const other = sessionOf(name, context);
    for (const id of await listMachines(other)) {
      const machine = await showMachine(other, id);
      if (machine?.state === 'inaccessible') return;
      for (const network of machine?.hostOnlyInterfaces ?? []) left.delete(network);
    }
  }
  const there = await listHostOnlyInterfaces(session);
  for (const network of there.filter((name) => left.has(name))) {
    await removeHostOnlyInterface(session, network);
  }
}

/** Whether someone besides these users has VirtualBox at work, or has ever had. */
async function hasOtherUsers(users: readonly string[]): Promise<boolean> {
  const known = await Promise.all(users.map((user) => findAccount(user)));
  const uids = new Set(known.map((account) => account?.uid));
  if ((await virtualBoxProcesses()).some(({ uid }) => !uids.has(uid))) return true;
  for (const account of parsePasswd(await readFile('/etc/passwd', 'utf8'))) {
    if (!uids.has(account.uid) && (await hasUsedVirtualBox(account))) return true;
  }
  return false;
}
