/**
 * A virtual machine on the host that a job may have left: what is known of it, what a job can own,
 * and what each kind of virtual machine must be able to do. Evidence is gathered by the backends,
 * ownership.ts judges it, virtual-machines.ts brings both together.
 */
export const VM_KINDS = ['vagrant', 'virtualbox', 'libvirt', 'qemu', 'nspawn'] as const;

/** In the order in which they are destroyed: Vagrant knows best how to undo its own machines. */
export type VmKind = (typeof VM_KINDS)[number];

export interface VirtualMachine {
  readonly kind: VmKind;
  /** What the kind's own tool takes for it; unique among the machines of the kind and owner. */
  readonly id: string;
  readonly name: string;
  /** The user whose it is, and as whom its tool is run. */
  readonly owner: string;
  /** In the words of the kind's own tool. */
  readonly state: string;
  /** Values of `_CI_JOB_TAG`: of its process, or as a whole line of its description. */
  readonly tags: readonly string[];
  /** Values of `_CI_JOB_MACHINE`, found in the same places. */
  readonly machines: readonly string[];
  /**
   * Values of `_CI_JOB_TAG` that its process may have from a daemon that another job started; they
   * count only while no other job lives.
   */
  readonly doubtfulTags: readonly string[];
  /** Absolute, links resolved: its configuration, writable disks, saved state, snapshots, environment. */
  readonly files: readonly string[];
  readonly pids: readonly number[];
}

/** What a job can own on the host. */
export interface VmClaim {
  readonly machine: string;
  readonly tag: string | undefined;
  /** Absolute, links resolved by the caller. */
  readonly directories: readonly string[];
}

export interface VmContext {
  /** Users whose virtual machines are looked at, where the kind has them apart for each user. */
  readonly users: readonly string[];
  readonly signal: AbortSignal | undefined;
  readonly commandTimeoutSec: number;
}

export interface VmDestroyContext extends VmContext {
  /** Directories of the dead jobs: besides a machine's own folder, only files below them are removed. */
  readonly directories: readonly string[];
}

export interface VmListing {
  readonly found: readonly VirtualMachine[];
  readonly failures: readonly unknown[];
}

export interface VmBackend {
  readonly kind: VmKind;
  /** Whether the kind's tool is installed, without starting a process. */
  isThere(): Promise<boolean>;
  /**
   * What could be seen, and why the rest could not.
   * @throws Failure when nothing could be seen.
   */
  list(context: VmContext): Promise<VmListing>;
  /** @throws Failure that says what is left. One that is gone already is no failure. */
  destroy(vm: VirtualMachine, context: VmDestroyContext): Promise<void>;
  /** What the kind keeps besides machines: indexes, networks, disks and pools without a machine. */
  tidy?(context: VmDestroyContext): Promise<void>;
}
