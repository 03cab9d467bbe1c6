/**
 * Machines that a job registered with the host's systemd-machined beside its own: of
 * systemd-nspawn, systemd-vmspawn and the like. Ours, and all in our slice, are none of this.
 */
import { readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { HostError } from '../errors.ts';
import { findUserName } from '../tools/getent.ts';
import { showRegisteredMachine, terminateMachine, type Asking } from '../tools/machinectl.ts';
import { joinMarks } from './marks.ts';
import { evidencePaths } from './paths.ts';
import type { VirtualMachine, VmBackend, VmContext, VmListing } from './virtual-machine.ts';
import { isInJobMachine, readParent, readProcess } from './vm-processes.ts';

/** machined keeps a file for each machine, and a link to it named "unit:" and its unit. */
const REGISTRY = '/run/systemd/machines';
const OURS = /^nsr\d+-/;
const GONE_WAIT_MS = 15_000;
const POLL_MS = 50;

export const nspawn: VmBackend = {
  kind: 'nspawn',
  isThere: async () => (await foreignNames()).length > 0,
  list,
  destroy,
};

async function foreignNames(): Promise<readonly string[]> {
  return foreignMachines(await readdir(REGISTRY).catch(() => []));
}

/** The machines of the registry that are not ours. Pure. */
export function foreignMachines(files: readonly string[]): readonly string[] {
  return files.filter(
    (file) =>
      !file.startsWith('.') &&
      !file.includes(':') &&
      !(OURS.test(file) && files.includes(`unit:${unitOf(file)}`)),
  );
}

function unitOf(machine: string): string {
  return `${machine}.service`;
}

async function list(context: VmContext): Promise<VmListing> {
  const asking = askingOf(context);
  const found: VirtualMachine[] = [];
  for (const machine of await foreignNames()) {
    const vm = await describe(machine, asking);
    if (vm !== undefined) found.push(vm);
  }
  return { found, failures: [] };
}

function askingOf({ commandTimeoutSec, signal }: VmContext): Asking {
  return { timeoutSec: commandTimeoutSec, signal };
}

async function describe(machine: string, asking: Asking): Promise<VirtualMachine | undefined> {
  const shown = await showRegisteredMachine(machine, asking);
  // libvirt's are domains, see libvirt.ts.
  if (shown?.leader === undefined || shown.service.startsWith('libvirt')) return undefined;
  if (OURS.test(machine) && shown.unit === unitOf(machine)) return undefined;
  const leader = await readProcess(shown.leader);
  if (leader === undefined || isInJobMachine(leader)) return undefined;
  // The leader of a container is its init, with an environment of its own; above it is systemd-nspawn.
  const above = await readParent(leader.pid);
  if (above !== undefined && isInJobMachine(above)) return undefined;
  const starter = above?.argv[0]?.endsWith('systemd-nspawn') === true ? above : undefined;
  const uid = (starter ?? leader).uid;
  return {
    kind: 'nspawn',
    id: `${machine}@${leader.pid}-${leader.startTime}`,
    name: machine,
    owner: (await findUserName(uid)) ?? String(uid),
    state: 'running',
    ...joinMarks(leader.marks, ...(starter === undefined ? [] : [starter.marks])),
    doubtfulTags: [],
    files: await evidencePaths([shown.rootDirectory]),
    pids: [leader.pid],
  };
}

async function destroy(vm: VirtualMachine, context: VmContext): Promise<void> {
  const asking = askingOf(context);
  const end = performance.now() + GONE_WAIT_MS;
  // A machine of the same name that came later has another leader.
  if (!(await isStillThere(vm, asking))) return;
  await terminateMachine(vm.name, asking);
  while (await isStillThere(vm, asking)) {
    if (performance.now() >= end) {
      throw new HostError(`Machine "${vm.name}" is still there.`, {
        hint: `Look at \`machinectl show ${vm.name}\`.`,
      });
    }
    await sleep(POLL_MS);
  }
}

async function isStillThere(vm: VirtualMachine, asking: Asking): Promise<boolean> {
  const leader = (await showRegisteredMachine(vm.name, asking))?.leader;
  const process = leader === undefined ? undefined : await readProcess(leader);
  return process !== undefined && vm.id === `${vm.name}@${process.pid}-${process.startTime}`;
}
