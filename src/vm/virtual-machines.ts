/**
 * The virtual machines on this host, of all kinds: found, chosen, destroyed, proved gone. One
 * kind's failure never hides the others.
 */
import { Failure } from '../errors.ts';
import { chooseVictims, type Victim } from './ownership.ts';
import {
  VM_KINDS,
  type VirtualMachine,
  type VmBackend,
  type VmClaim,
  type VmContext,
  type VmDestroyContext,
  type VmKind,
} from './virtual-machine.ts';

const COMMAND_TIMEOUT_SEC = 60;

const BACKENDS: Readonly<Record<VmKind, () => Promise<VmBackend>>> = {
  vagrant: async () => (await import('./vagrant.ts')).vagrant,
  virtualbox: async () => (await import('./virtualbox.ts')).virtualbox,
  libvirt: async () => (await import('./libvirt.ts')).libvirt,
  qemu: async () => (await import('./qemu.ts')).qemu,
  nspawn: async () => (await import('./nspawn.ts')).nspawn,
};

export interface VmFailure {
  readonly kind: VmKind;
  readonly error: unknown;
}

/** The kinds whose tools this host has; starts no process. */
export async function installedKinds(wanted: readonly VmKind[] = VM_KINDS): Promise<VmKind[]> {
  const there: VmKind[] = [];
  for (const kind of VM_KINDS) {
    if (wanted.includes(kind) && (await (await BACKENDS[kind]()).isThere())) there.push(kind);
  }
  return there;
}

/** All virtual machines of these kinds. Never throws: what a kind could not say is a failure of that kind. */
export async function listVirtualMachines(
  kinds: readonly VmKind[],
  context: VmContext,
): Promise<{ found: VirtualMachine[]; failures: VmFailure[] }> {
  const found: VirtualMachine[] = [];
  const failures: VmFailure[] = [];
  const lists = kinds.map(async (kind) => {
    try {
      const listing = await (await BACKENDS[kind]()).list(context);
      found.push(...listing.found);
      failures.push(...listing.failures.map((error) => ({ kind, error })));
    } catch (error) {
      failures.push({ kind, error });
    }
  });
  await Promise.all(lists);
  return { found, failures };
}

export interface VmRemoval {
  readonly removed: readonly VirtualMachine[];
  readonly failures: readonly (VmFailure & { readonly vm: VirtualMachine | undefined })[];
}

/** Destroys what was chosen, each whatever became of the others; never throws. */
export async function destroyVirtualMachines(
  victims: readonly VirtualMachine[],
  context: VmDestroyContext,
): Promise<VmRemoval> {
  const removed: VirtualMachine[] = [];
  const failures: (VmFailure & { vm: VirtualMachine | undefined })[] = [];
  for (const kind of VM_KINDS) {
    const ofKind = victims.filter((vm) => vm.kind === kind);
    if (ofKind.length === 0) continue;
    const backend = await BACKENDS[kind]();
    for (const vm of ofKind) {
      try {
        await backend.destroy(vm, context);
        removed.push(vm);
      } catch (error) {
        failures.push({ kind, error, vm });
      }
    }
  }
  return { removed, failures };
}

/** Removes what these kinds keep of dead jobs besides machines; never throws. */
export async function tidyVirtualMachines(
  kinds: readonly VmKind[],
  context: VmDestroyContext,
): Promise<VmFailure[]> {
  const failures: VmFailure[] = [];
  for (const kind of kinds) {
    try {
      await (await BACKENDS[kind]()).tidy?.(context);
    } catch (error) {
      failures.push({ kind, error });
    }
  }
  return failures;
}

export interface VmsOfJob {
  /** The dead job's. */
  readonly claim: VmClaim;
  /** Claims of all living jobs on the host. */
  readonly others: readonly VmClaim[];
  readonly kinds: readonly VmKind[];
  readonly users: readonly string[];
  readonly signal?: AbortSignal | undefined;
  readonly commandTimeoutSec?: number;
}

export interface VmsOfJobRemoval {
  readonly removed: readonly Victim[];
  /** One sentence each. */
  readonly failures: readonly string[];
  /** Perhaps the job's: keep its claim and look again. One sentence each. */
  readonly undecided: readonly string[];
}

/** List, choose, destroy, and list again as the proof; twice at most. Never throws. */
export async function destroyVmsOfJob(options: VmsOfJob): Promise<VmsOfJobRemoval> {
  const { claim, others, kinds, users, signal } = options;
  const context = {
    users,
    signal,
    commandTimeoutSec: options.commandTimeoutSec ?? COMMAND_TIMEOUT_SEC,
    directories: claim.directories,
  };
  const removed = new Map<string, Victim>();
  const failures = new Set<string>();
  const choose = async (): Promise<ReturnType<typeof chooseVictims>> => {
    const listed = await listVirtualMachines(kinds, context);
    for (const { kind, error } of listed.failures) failures.add(`${kind}: ${sentence(error)}`);
    return chooseVictims(listed.found, [claim], others);
  };
  let choice = await choose();
  for (let round = 0; round < 2 && choice.victims.length > 0; round++) {
    failures.clear();
    for (const victim of choice.victims) removed.set(keyOf(victim.vm), victim);
    const machines = choice.victims.map(({ vm }) => vm);
    const removal = await destroyVirtualMachines(machines, context);
    for (const { vm, kind, error } of removal.failures) {
      failures.add(`${kind} "${vm?.name ?? ''}": ${sentence(error)}`);
    }
    choice = await choose();
  }
  for (const { kind, error } of await tidyVirtualMachines(kinds, context)) {
    failures.add(`${kind}: ${sentence(error)}`);
  }
  for (const { vm } of choice.victims) {
    removed.delete(keyOf(vm));
    failures.add(`${vm.kind} "${vm.name}" of user ${vm.owner} is still there.`);
  }
  return {
    removed: [...removed.values()],
    failures: [...failures],
    undecided: choice.undecided.map(
      ({ vm, proof }) => `${vm.kind} "${vm.name}" of user ${vm.owner}: ${proof.join(', ')}.`,
    ),
  };
}

function keyOf({ kind, owner, id }: VirtualMachine): string {
  return JSON.stringify([kind, owner, id]);
}

function sentence(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const [fact] = error instanceof Failure ? error.details : [];
  return fact === undefined ? error.message : `${error.message} ${fact}`;
}
