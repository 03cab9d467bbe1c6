/**
 * Vagrant's environments. They are known by their directories; what Vagrant made, it undoes best.
 * Its provider's machines are looked for all the same, see virtualbox.ts and libvirt.ts.
 */
import { stat } from 'node:fs/promises';
import { HostError } from '../errors.ts';
import { findProgram } from '../tools/find-program.ts';
import { findAccount, type Account } from '../tools/getent.ts';
import { destroyEnvironment, pruneIndex, type VagrantUser } from '../tools/vagrant.ts';
import { showMachine } from '../tools/vboxmanage.ts';
import { evidencePaths, removeFileBelow } from './paths.ts';
import { idFile, readMachineIndex, virtualBoxId, type VagrantEntry } from './vagrant-index.ts';
import type {
  VirtualMachine,
  VmBackend,
  VmContext,
  VmDestroyContext,
  VmListing,
} from './virtual-machine.ts';

/** Vagrant is slow to start, and waits for its provider in turn. */
const PATIENCE = 3;

export const vagrant: VmBackend = {
  kind: 'vagrant',
  isThere: async () => (await findProgram('vagrant')) !== undefined,
  list,
  destroy,
};

async function list(context: VmContext): Promise<VmListing> {
  if (!(await vagrant.isThere())) return { found: [], failures: [] };
  const found: VirtualMachine[] = [];
  const failures: unknown[] = [];
  for (const user of new Set(context.users)) {
    try {
      const account = await findAccount(user);
      for (const entry of account === undefined ? [] : await readMachineIndex(account)) {
        found.push(await describe(entry, user));
      }
    } catch (error) {
      failures.push(error);
    }
  }
  return { found, failures };
}

async function describe(entry: VagrantEntry, owner: string): Promise<VirtualMachine> {
  return {
    kind: 'vagrant',
    id: entry.id,
    name: `${entry.name} in ${entry.directory}`,
    owner,
    state: entry.state,
    tags: [],
    machines: [],
    doubtfulTags: [],
    files: await evidencePaths([entry.directory, entry.dataDirectory]),
    pids: [],
  };
}

async function destroy(vm: VirtualMachine, context: VmDestroyContext): Promise<void> {
  const account = await findAccount(vm.owner);
  const entry = account === undefined ? undefined : await findEntry(account, vm.id);
  if (account === undefined || entry === undefined) return;
  const session: VagrantUser = {
    user: account.name,
    timeoutSec: context.commandTimeoutSec * PATIENCE,
    signal: context.signal,
  };
  const directory = await stat(entry.directory).catch(() => undefined);
  if (directory !== undefined) {
    if (directory.uid !== account.uid) throw notTheirs(entry, account);
    try {
      await destroyEnvironment(session, vm.id);
    } catch (error) {
      if (!(await isMachineGone(entry, session, context))) throw error;
      await forgetMachine(entry, context);
    }
  }
  if ((await findEntry(account, vm.id)) === undefined) return;
  await pruneIndex(session);
  if ((await findEntry(account, vm.id)) === undefined) return;
  throw new HostError(`Vagrant still has "${vm.name}" in the index of user ${vm.owner}.`, {
    hint: `As ${vm.owner}, try \`vagrant destroy --force ${vm.id}\`.`,
  });
}

/** A Vagrantfile that does not work is no matter when VirtualBox has lost its machine otherwise. */
async function isMachineGone(
  entry: VagrantEntry,
  session: VagrantUser,
  { commandTimeoutSec: timeoutSec }: VmContext,
): Promise<boolean> {
  const id = await virtualBoxId(entry);
  return id !== undefined && (await showMachine({ ...session, timeoutSec }, id)) === undefined;
}

/** Without an id Vagrant takes the machine for never made, and drops it without its Vagrantfile. */
async function forgetMachine(
  entry: VagrantEntry,
  { directories }: VmDestroyContext,
): Promise<void> {
  await removeFileBelow(idFile(entry), directories);
}

/** The Vagrantfile would run as someone whom its author could not become. */
function notTheirs({ directory }: VagrantEntry, { name }: Account): HostError {
  return new HostError(`Vagrant is not run in "${directory}", which is not user ${name}'s.`, {
    hint: `As ${name}, look at \`vagrant global-status\`.`,
  });
}

async function findEntry(account: Account, id: string): Promise<VagrantEntry | undefined> {
  return (await readMachineIndex(account)).find((entry) => entry.id === id);
}
