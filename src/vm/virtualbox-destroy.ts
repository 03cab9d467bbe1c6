/**
 * Destroys one machine of VirtualBox, whatever state it is in, and proves it gone. Disks that are
 * not its own are taken off first: `unregistervm --delete` deletes every disk that is attached,
 * wherever it lies.
 */
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HostError } from '../errors.ts';
import { runAsUser } from '../tools/run-as-user.ts';
import {
  closeDisk,
  detachDisk,
  discardSavedState,
  emergencyStop,
  isLocked,
  isUnknownObject,
  listDisks,
  listMachines,
  powerOffMachine,
  showMachine,
  unregisterMachine,
  type VBoxAttachment,
  type VBoxMachine,
  type VBoxUser,
} from '../tools/vboxmanage.ts';
import { exists, isInside, removeFileBelow, resolvePath } from './paths.ts';
import type { VirtualMachine, VmDestroyContext } from './virtual-machine.ts';
import { removeUnusedNetworks } from './virtualbox-tidy.ts';
import {
  accountOf,
  hasUsedVirtualBox,
  runningMachine,
  sessionOf,
  virtualBoxProcesses,
} from './virtualbox-users.ts';
import { endProcess } from './vm-processes.ts';

/** States without a process, from the SDK reference, MachineState. */
const OFFLINE = /^(poweroff|saved|teleported|aborted|aborted-saved|inaccessible)$/;
/** The session's lock outlasts the power-off by a moment: hashicorp/vagrant#8104. */
const LOCK_WAIT_MS = 20_000;
const POLL_MS = 500;

export async function destroyVirtualBox(
  vm: VirtualMachine,
  context: VmDestroyContext,
): Promise<void> {
  const account = await accountOf(vm);
  const session = sessionOf(vm.owner, context);
  const before = (await hasUsedVirtualBox(account)) ? await showMachine(session, vm.id) : undefined;
  if (before === undefined) {
    await endProcessesOf(vm.id, account.uid);
    return;
  }
  const folder = await ownFolder(before);
  const media = folder === undefined ? [] : await disksIn(session, folder);
  if (!OFFLINE.test(before.state)) await powerOff(session, vm.id, account.uid);
  const machine = (await showMachine(session, vm.id)) ?? before;
  await unregister(session, machine, { folder, directories: context.directories });
  if ((await showMachine(session, vm.id)) !== undefined) {
    throw new HostError(`VirtualBox machine "${vm.name}" of user ${vm.owner} is still there.`, {
      hint: `As ${vm.owner}, try \`VBoxManage unregistervm ${vm.id} --delete\`.`,
    });
  }
  if (folder !== undefined) await removeFolder(session, { folder, media }, context.directories);
  await removeUnusedNetworks(machine.hostOnlyInterfaces, session, context);
}

/** Power off, then what the SDK has for a machine that does not answer, then its process. */
async function powerOff(session: VBoxUser, id: string, uid: number): Promise<void> {
  for (const step of [powerOffMachine, emergencyStop]) {
    await step(session, id).catch(ignoreFailure);
    if (await waitUntilOffline(session, id)) return;
  }
  await endProcessesOf(id, uid);
}

async function endProcessesOf(id: string, uid: number): Promise<void> {
  for (const process of await virtualBoxProcesses()) {
    if (process.uid === uid && runningMachine(process) === id) await endProcess(process);
  }
}

async function waitUntilOffline(session: VBoxUser, id: string): Promise<boolean> {
  const end = performance.now() + LOCK_WAIT_MS;
  for (;;) {
    const machine = await showMachine(session, id);
    if (machine === undefined || OFFLINE.test(machine.state)) return true;
    if (!/^(stopping|restoring|saving|starting)$/.test(machine.state)) return false;
    if (performance.now() >= end) return false;
    await sleep(POLL_MS);
  }
}

interface OwnPlaces {
  readonly folder: string | undefined;
  readonly directories: readonly string[];
}

async function unregister(
  session: VBoxUser,
  machine: VBoxMachine,
  { folder, directories }: OwnPlaces,
): Promise<void> {
  const places = folder === undefined ? directories : [folder, ...directories];
  if (machine.state === 'saved' || machine.state === 'aborted-saved') {
    await discardSavedState(session, machine.id).catch(ignoreFailure);
  }
  const own: VBoxAttachment[] = [];
  let isAllOwn = machine.state !== 'inaccessible';
  for (const attachment of machine.attachments) {
    const { location } = attachment;
    if (location !== undefined && (await isInside(location, places))) own.push(attachment);
    else if (!(await detached(session, machine.id, attachment))) isAllOwn = false;
  }
  // Which disks a snapshot refers to is not told, so its machine goes without its disks.
  const withDisks = isAllOwn && !machine.hasSnapshots;
  await untilUnlocked(() => unregisterMachine(session, machine.id, withDisks));
  if (withDisks) return;
  for (const { medium, location } of own) {
    await closeDisk(session, medium, true).catch(ignoreFailure);
    // What unregistering has closed already is only a file; in the folder it goes with that.
    if (location !== undefined) await removeFileBelow(location, directories).catch(ignoreFailure);
  }
}

async function detached(
  session: VBoxUser,
  id: string,
  attachment: VBoxAttachment,
): Promise<boolean> {
  try {
    await untilUnlocked(() => detachDisk(session, id, attachment));
    return true;
  } catch (error) {
    ignoreFailure(error);
    return false;
  }
}

async function untilUnlocked(step: () => Promise<void>): Promise<void> {
  const end = performance.now() + LOCK_WAIT_MS;
  for (;;) {
    try {
      await step();
      return;
    } catch (error) {
      if (isUnknownObject(error)) return;
      if (!isLocked(error) || performance.now() >= end) throw error;
    }
    await sleep(POLL_MS);
  }
}

/**
 * The folder that VirtualBox made for the machine: it bears the machine's name and holds its
 * settings file (manual, "The Machine Folder"). Anything else may hold what is not the machine's.
 */
async function ownFolder({ name, configFile }: VBoxMachine): Promise<string | undefined> {
  if (configFile === undefined) return undefined;
  const folder = await resolvePath(dirname(configFile));
  const stem = basename(configFile).replace(/\.(vbox|xml)$/, '');
  if (basename(folder) !== stem || (name !== undefined && name !== stem)) return undefined;
  return folder.split('/').length > 3 ? folder : undefined;
}

/** Registered disks in a folder. */
async function disksIn(session: VBoxUser, folder: string): Promise<string[]> {
  const inside: string[] = [];
  for (const { location } of await listDisks(session)) {
    if (await isInside(location, [folder])) inside.push(location);
  }
  return inside;
}

/**
 * What is left in the folder of a machine that is gone, as its user: all of it below the jobs'
 * directories, else what VirtualBox puts there, for a person may keep something beside it.
 */
async function removeFolder(
  session: VBoxUser,
  { folder, media }: { readonly folder: string; readonly media: readonly string[] },
  directories: readonly string[],
): Promise<void> {
  if (!(await exists(folder)) || (await isUsed(session, folder))) return;
  const isJobs = await isInside(folder, directories);
  const stem = join(folder, basename(folder));
  const files = [`${stem}.vbox`, `${stem}.vbox-prev`, `${stem}.nvram`];
  const parts = [...files, join(folder, 'Logs'), join(folder, 'Snapshots'), ...media];
  const rm = ['/bin/rm', '--recursive', '--force', '--one-file-system', '--'];
  await runAsUser({ ...session, argv: [...rm, ...(isJobs ? [folder] : parts)] });
  if (isJobs) return;
  const argv = ['/bin/rmdir', '--ignore-fail-on-non-empty', '--', folder];
  await runAsUser({ ...session, argv });
}

/** Whether a machine or a disk that VirtualBox still knows is in there. */
async function isUsed(session: VBoxUser, folder: string): Promise<boolean> {
  const used: (string | undefined)[] = (await listDisks(session)).map(({ location }) => location);
  for (const id of await listMachines(session)) {
    used.push((await showMachine(session, id))?.configFile);
  }
  for (const path of used) if (path !== undefined && (await isInside(path, [folder]))) return true;
  return false;
}

function ignoreFailure(error: unknown): undefined {
  // What counts is what is left, which is looked at afterwards.
  if (error instanceof Error) return undefined;
  throw error;
}
