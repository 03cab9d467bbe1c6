/**
 * QEMU without libvirt: a process and nothing else. What it does to which disk is read from the
 * files that it has open for writing, because its command line has a dozen ways to say it.
 */
import { findProgram } from '../tools/find-program.ts';
import { findUserName } from '../tools/getent.ts';
import { isListening, isOfLibvirt } from './libvirt.ts';
import { evidencePaths } from './paths.ts';
import type { VirtualMachine, VmBackend, VmListing } from './virtual-machine.ts';
import {
  endProcess,
  filesWritten,
  findProcesses,
  readProcess,
  type VmProcess,
} from './vm-processes.ts';

const PROGRAMS = [
  'qemu-system-x86_64',
  'qemu-system-aarch64',
  'qemu-system-i386',
  'qemu-kvm',
  'kvm',
];

export const qemu: VmBackend = {
  kind: 'qemu',
  isThere: async () => (await findProgram(...PROGRAMS)) !== undefined,
  list,
  destroy,
};

export function isQemu(program: string): boolean {
  return /^(qemu-system-[\w.-]+|qemu-kvm|kvm|qemu)$/.test(program);
}

async function list(): Promise<VmListing> {
  const hasLibvirt = await isListening();
  const found: VirtualMachine[] = [];
  for (const process of await findProcesses(isQemu)) {
    // libvirt would only start its domain's again.
    if (hasLibvirt && isOfLibvirt(process)) continue;
    found.push(await describe(process));
  }
  return { found, failures: [] };
}

async function describe(process: VmProcess): Promise<VirtualMachine> {
  return {
    kind: 'qemu',
    id: idOf(process),
    name: guestName(process.argv) ?? `process ${process.pid}`,
    owner: (await findUserName(process.uid)) ?? String(process.uid),
    state: 'running',
    ...process.marks,
    doubtfulTags: [],
    files: await evidencePaths(await filesWritten(process.pid)),
    pids: [process.pid],
  };
}

function idOf({ pid, startTime }: VmProcess): string {
  return `${pid}-${startTime}`;
}

/** `-name NAME` or `-name guest=NAME,…`, qemu(1). */
export function guestName(argv: readonly string[]): string | undefined {
  const at = argv.findIndex((word) => word === '-name' || word === '--name');
  const value = at < 0 ? undefined : argv[at + 1]?.split(',')[0]?.replace(/^guest=/, '');
  return value === '' ? undefined : value;
}

async function destroy(vm: VirtualMachine): Promise<void> {
  const [pid] = vm.pids;
  const process = pid === undefined ? undefined : await readProcess(pid);
  if (process !== undefined && idOf(process) === vm.id) await endProcess(process);
}
