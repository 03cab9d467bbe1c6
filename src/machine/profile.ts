/** How far a machine is kept from its host, by what its chroot's recipe says. */
import { join } from 'node:path';
import type { Bind, NspawnMachine } from '../tools/systemd-nspawn.ts';
import type { JobDirectory } from './job-directory.ts';
import type { MachineBase } from './machine-base.ts';

/**
 * What Docker and Podman call that systemd-nspawn's list leaves out (systemd-nspawn(1),
 * --system-call-filter=): keyrings for each container, and device rules of control groups.
 */
const NESTING_CALLS = ['add_key', 'keyctl', 'bpf'];
/** Where they keep images: an overlay of theirs cannot be on the machine's own, which is one. */
const NESTED_STORAGE = ['docker', 'containerd', 'containers'];

export function isolation({
  profile,
  network,
  suppressSync,
  nspawnOptions,
}: MachineBase): Omit<NspawnMachine, 'machine' | 'binds' | 'env'> {
  const isNesting = profile === 'nesting';
  return {
    network,
    suppressSync,
    hasAllCapabilities: isNesting,
    systemCalls: isNesting ? NESTING_CALLS : [],
    options: nspawnOptions,
  };
}

/** Directories of the job that are bound over those that images are kept in. */
export function nestedStorage(
  { profile }: Pick<MachineBase, 'profile'>,
  directory: JobDirectory,
): readonly Bind[] {
  if (profile !== 'nesting') return [];
  return NESTED_STORAGE.map((name) => ({
    source: join(directory.path, name),
    target: `/var/lib/${name}`,
    readOnly: false,
  }));
}
