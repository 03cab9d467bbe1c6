/**
 * VirtualBox: each user has machines, disks and a daemon (VBoxSVC) of his own.
 *
 * VBoxSVC starts the processes of machines, which thereby have its environment: that of whichever
 * job made it start. So a mark in a machine's process counts only where VBoxSVC does not have it
 * too, and VBoxSVC itself is no machine and never ended by us.
 */
import { basename, dirname } from 'node:path';
import { findProgram } from '../tools/find-program.ts';
import { findAccount, type Account } from '../tools/getent.ts';
import {
  listMachines,
  showMachine,
  unregisteredMachine,
  VBOX_PROGRAMS,
  type VBoxMachine,
} from '../tools/vboxmanage.ts';
import { joinMarks, marksInText, type Marks } from './marks.ts';
import { evidencePaths } from './paths.ts';
import { readMachineIndex, virtualBoxId } from './vagrant-index.ts';
import type { VirtualMachine, VmBackend, VmContext, VmListing } from './virtual-machine.ts';
import {
  hasUsedVirtualBox,
  runningMachine,
  sessionOf,
  virtualBoxProcesses,
} from './virtualbox-users.ts';
import type { VmProcess } from './vm-processes.ts';

/** Calls of VBoxManage: each is a program that starts, and VBoxSVC answers them one by one. */
const AT_ONCE = 6;

export const virtualbox: VmBackend = {
  kind: 'virtualbox',
  isThere: async () => (await findProgram(...VBOX_PROGRAMS)) !== undefined,
  list: listOfAllUsers,
  destroy: async (vm, context) =>
    (await import('./virtualbox-destroy.ts')).destroyVirtualBox(vm, context),
  tidy: async (context) => (await import('./virtualbox-tidy.ts')).tidyVirtualBox(context),
};

async function listOfAllUsers(context: VmContext): Promise<VmListing> {
  if (!(await virtualbox.isThere())) return { found: [], failures: [] };
  const processes = await virtualBoxProcesses();
  const found: VirtualMachine[] = [];
  const failures: unknown[] = [];
  for (const user of new Set(context.users)) {
    try {
      const account = await findAccount(user);
      if (account === undefined) continue;
      const own = processes.filter(({ uid }) => uid === account.uid);
      found.push(...(await listOf(account, own, context)));
    } catch (error) {
      failures.push(error);
    }
  }
  return { found, failures };
}

async function listOf(
  account: Account,
  processes: readonly VmProcess[],
  context: VmContext,
): Promise<VirtualMachine[]> {
  const session = sessionOf(account.name, context);
  const ids = (await hasUsedVirtualBox(account)) ? await listMachines(session) : [];
  const environments =
    ids.length > 0 ? await vagrantEnvironments(account) : new Map<string, string>();
  const found: VirtualMachine[] = [];
  for (let at = 0; at < ids.length; at += AT_ONCE) {
    const shown = ids.slice(at, at + AT_ONCE).map((id) => showMachine(session, id));
    for (const machine of await Promise.all(shown)) {
      if (machine === undefined) continue;
      const files = await filesOf(machine, environments.get(machine.id));
      found.push(describe(machine, { account, processes, files }));
    }
  }
  // With VBOX_USER_HOME somewhere else a machine is in a registry that nobody knows of.
  for (const id of new Set(processes.flatMap((process) => runningMachine(process) ?? []))) {
    if (ids.includes(id)) continue;
    found.push(describe(unregisteredMachine(id), { account, processes, files: [] }));
  }
  return found;
}

/** Directories of Vagrant environments, by the UUID of the VirtualBox machine that is theirs. */
async function vagrantEnvironments(account: Account): Promise<ReadonlyMap<string, string>> {
  const environments = new Map<string, string>();
  for (const entry of await readMachineIndex(account).catch(() => [])) {
    const id = await virtualBoxId(entry);
    if (id !== undefined) environments.set(id, entry.dataDirectory);
  }
  return environments;
}

function filesOf(
  machine: VBoxMachine,
  environment: string | undefined,
): Promise<readonly string[]> {
  return evidencePaths([
    machine.configFile,
    machine.snapshotFolder,
    ...machine.attachments.map(({ location }) => location),
    environment,
    machine.vagrantFolder,
  ]);
}

export interface Surroundings {
  readonly account: Account;
  /** The user's processes of VirtualBox. */
  readonly processes: readonly VmProcess[];
  readonly files: readonly string[];
}

/** Pure. */
export function describe(machine: VBoxMachine, around: Surroundings): VirtualMachine {
  const { account, processes, files } = around;
  const running = processes.filter((process) => runningMachine(process) === machine.id);
  const daemon = joinMarks(
    ...processes.filter(({ argv }) => basename(argv[0] ?? '') === 'VBoxSVC').map((p) => p.marks),
  );
  const carried = joinMarks(...running.map(({ marks }) => marks));
  const said = marksInText(machine.description);
  const sure: Marks = {
    tags: carried.tags.filter((tag) => !daemon.tags.includes(tag)),
    machines: carried.machines.filter((name) => !daemon.machines.includes(name)),
  };
  return {
    kind: 'virtualbox',
    id: machine.id,
    name: machine.name ?? machineFolderName(machine) ?? machine.id,
    owner: account.name,
    state: machine.state,
    ...joinMarks(said, sure),
    doubtfulTags: carried.tags.filter((tag) => daemon.tags.includes(tag)),
    files,
    pids: running.map(({ pid }) => pid),
  };
}

function machineFolderName({ configFile }: VBoxMachine): string | undefined {
  return configFile === undefined ? undefined : basename(dirname(configFile));
}
