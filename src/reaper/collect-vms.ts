/** Which jobs the virtual machines of this host speak of. Changes nothing. */
import { claimedMachines, readClaim } from '../machine/claim.ts';
import { jobDirectory, jobsDirectory, trashDirectory } from '../machine/job-directory.ts';
import { parseMachineName } from '../machine/names.ts';
import { readUsableRecord, type VmPlaces } from '../machine/record.ts';
import { entriesOf } from '../machine/directory-entries.ts';
import { registeredMachines } from '../machine/remains.ts';
import { vmClaim } from '../machine/virtual-machines.ts';
import type { VirtualMachine, VmClaim } from '../vm/virtual-machine.ts';

const COMMAND_TIMEOUT_SEC = 60;

export interface VmView {
  /** Names by the machine of the job. */
  readonly byJob: ReadonlyMap<string, readonly string[]>;
  /** Kinds that gave no answer, one sentence each. */
  readonly failures: readonly string[];
}

export async function viewVirtualMachines(
  stateDir: string,
  places: VmPlaces | undefined,
  signal: AbortSignal,
): Promise<VmView> {
  const isForeign = registeredMachines().some((name) => parseMachineName(name) === undefined);
  const kinds = [...(places?.kinds ?? []), ...(isForeign ? (['nspawn'] as const) : [])];
  if (kinds.length === 0) return { byJob: new Map(), failures: [] };
  const { listVirtualMachines } = await import('../vm/virtual-machines.ts');
  const context = {
    users: places?.users ?? ['root'],
    signal,
    commandTimeoutSec: COMMAND_TIMEOUT_SEC,
  };
  const { found, failures } = await listVirtualMachines(kinds, context);
  const { claimsOf } = await import('../vm/ownership.ts');
  const claims = claimsOfJobs(stateDir);
  const byJob = new Map<string, string[]>();
  for (const vm of found) {
    const owners = claimsOf(vm, claims).map(({ machine }) => machine);
    for (const machine of new Set([...owners, ...namedBy(vm, stateDir)])) {
      byJob.set(machine, [...(byJob.get(machine) ?? []), `${vm.kind}:${vm.name}`]);
    }
  }
  const sentences = failures.map(
    ({ kind, error }) => `${kind}: ${error instanceof Error ? error.message : String(error)}`,
  );
  return { byJob, failures: sentences };
}

function claimsOfJobs(stateDir: string): readonly VmClaim[] {
  const names = new Set([...entriesOf(jobsDirectory(stateDir)), ...claimedMachines(stateDir)]);
  return [...names]
    .filter((name) => parseMachineName(name) !== undefined)
    .map((name) => {
      const record = readUsableRecord(jobDirectory(stateDir, name).record);
      return vmClaim(stateDir, name, record ?? readClaim(stateDir, name) ?? {});
    });
}

/** Jobs that a virtual machine names itself, by a mark or by a file in the job's directory. */
function namedBy(vm: VirtualMachine, stateDir: string): readonly string[] {
  const places = [`${jobsDirectory(stateDir)}/`, `${trashDirectory(stateDir)}/`];
  const components = vm.files.flatMap((file) =>
    places
      .filter((place) => file.startsWith(place))
      .map((place) => file.slice(place.length).split('/')[0]),
  );
  const names = components.map((name) => (name ?? '').replace(/(-\d+)-[0-9a-f]+$/, '$1'));
  return [...vm.machines, ...names].filter((name) => parseMachineName(name) !== undefined);
}
