/** Where jobs of this host may make virtual machines. Read by every prepare, so nothing is started here. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { VM_KINDS, type VmKind } from '../vm/virtual-machine.ts';
import type { VmPlaces } from './record.ts';

const DIRECTORIES = ['/usr/bin', '/usr/local/bin', '/opt/vagrant/bin', '/usr/sbin'];
const TOOLS = [
  'VBoxManage',
  'vboxmanage',
  'vagrant',
  'virsh',
  'qemu-system-x86_64',
  'qemu-system-aarch64',
  'kvm',
];
const DEFAULT_RUNNER_USER = 'gitlab-runner';

export interface VmSettings {
  readonly virtualMachineKinds: readonly string[] | undefined;
  readonly virtualMachineUsers: readonly string[] | undefined;
}

/** Undefined on a host without a tool for any kind that the settings allow. */
export async function findVmPlaces(
  settings: VmSettings,
  runnerUser = process.env['CI_RUNNER_USER'],
): Promise<VmPlaces | undefined> {
  const { virtualMachineKinds: wanted, virtualMachineUsers } = settings;
  const isThere = DIRECTORIES.some((dir) => TOOLS.some((tool) => existsSync(join(dir, tool))));
  if (!isThere || wanted?.length === 0) return undefined;
  const { installedKinds } = await import('../vm/virtual-machines.ts');
  const allowed = VM_KINDS.filter((kind) => wanted?.includes(kind) ?? kind !== 'nspawn');
  const kinds: readonly VmKind[] = await installedKinds(allowed);
  if (kinds.length === 0) return undefined;
  const user = runnerUser === undefined || runnerUser === '' ? DEFAULT_RUNNER_USER : runnerUser;
  return { kinds, users: virtualMachineUsers ?? [...new Set(['root', user])] };
}
