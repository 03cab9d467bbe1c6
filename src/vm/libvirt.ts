/**
 * Domains of libvirt's system daemon. It starts their processes itself, with an environment of its
 * own: a job is known by its directories and by the marks that it wrote into the description.
 */
import { HostError } from '../errors.ts';
import { findProgram } from '../tools/find-program.ts';
import {
  destroyDomain,
  domainState,
  domainXml,
  listDomains,
  listPools,
  poolXml,
  removePool,
  undefineDomain,
  volumePath,
  type Virsh,
} from '../tools/virsh.ts';
import { parseDomain, parsePool, type DiskSource, type Domain } from './domain-xml.ts';
import { joinMarks } from './marks.ts';
import { evidencePaths, exists, isInside, removeFileBelow, resolvePath } from './paths.ts';
import type {
  VirtualMachine,
  VmBackend,
  VmContext,
  VmDestroyContext,
  VmListing,
} from './virtual-machine.ts';
import { findProcesses, type VmProcess } from './vm-processes.ts';

/** libvirtd(8), virtqemud(8): one of them, or systemd for it, listens here. */
const SOCKETS = ['/run/libvirt/libvirt-sock', '/run/libvirt/virtqemud-sock'];
const NVRAM_DIRECTORY = '/var/lib/libvirt/qemu/nvram';

export const libvirt: VmBackend = {
  kind: 'libvirt',
  isThere: async () => (await findProgram('virsh')) !== undefined && (await isListening()),
  list,
  destroy,
  tidy,
};

export async function isListening(): Promise<boolean> {
  for (const socket of SOCKETS) if (await exists(socket)) return true;
  return false;
}

function virshOf({ commandTimeoutSec, signal }: VmContext): Virsh {
  return { timeoutSec: commandTimeoutSec, signal };
}

async function list(context: VmContext): Promise<VmListing> {
  // A daemon that is down is a failure; libvirt that was removed from the host has no domains.
  if ((await findProgram('virsh')) === undefined) return { found: [], failures: [] };
  const virsh = virshOf(context);
  const ids = await listDomains(virsh);
  if (ids.length === 0) return { found: [], failures: [] };
  const processes = (await findProcesses((name) => name.startsWith('qemu'))).filter(isOfLibvirt);
  const found: VirtualMachine[] = [];
  const failures: unknown[] = [];
  for (const id of ids) {
    try {
      const vm = await describe(virsh, id, processes);
      if (vm !== undefined) found.push(vm);
    } catch (error) {
      failures.push(error);
    }
  }
  return { found, failures };
}

async function describe(
  virsh: Virsh,
  id: string,
  processes: readonly VmProcess[],
): Promise<VirtualMachine | undefined> {
  const xml = await domainXml(virsh, id);
  const state = await domainState(virsh, id);
  if (xml === undefined || state === undefined) return undefined;
  const domain = parseDomain(xml);
  const disks = await pathsOf(virsh, domain.disks);
  const running = processes.filter((process) => runsDomain(process, id));
  return {
    kind: 'libvirt',
    id,
    name: domain.name,
    owner: 'root',
    state,
    ...joinMarks(domain.marks, ...running.map(({ marks }) => marks)),
    doubtfulTags: [],
    files: await evidencePaths([...disks, domain.nvram]),
    pids: running.map(({ pid }) => pid),
  };
}

/**
 * libvirt has systemd-machined put its processes into scopes of these names, where no user gets a
 * process of his own: whoever only looks like a domain's process is believed nothing.
 */
export function isOfLibvirt({ cgroups }: Pick<VmProcess, 'cgroups'>): boolean {
  return /^\d+:[^:]*:\/machine\.slice\/machine-qemu[^/]*\.scope(\/|$)/m.test(cgroups);
}

/** libvirt gives each process its domain: `qemu-system-… -uuid UUID`. */
function runsDomain({ argv }: VmProcess, id: string): boolean {
  return argv[argv.indexOf('-uuid') + 1] === id;
}

async function pathsOf(virsh: Virsh, sources: readonly DiskSource[]): Promise<string[]> {
  const paths: string[] = [];
  for (const source of sources) {
    const path =
      'file' in source ? source.file : await volumePath(virsh, source.pool, source.volume);
    if (path !== undefined) paths.push(path);
  }
  return paths;
}

async function destroy(vm: VirtualMachine, context: VmDestroyContext): Promise<void> {
  const virsh = virshOf(context);
  const xml = await domainXml(virsh, vm.id);
  if (xml === undefined) return;
  const domain = parseDomain(xml);
  const disks = await pathsOf(virsh, domain.disks);
  await destroyDomain(virsh, vm.id);
  // A transient domain is gone with its process.
  if ((await listDomains(virsh)).includes(vm.id)) {
    await undefineDomain(virsh, vm.id, await nvramFate(domain, context));
  }
  if ((await listDomains(virsh)).includes(vm.id)) {
    throw new HostError(`Domain "${vm.name}" of libvirt is still there.`, {
      hint: `Try \`virsh undefine --domain=${vm.id}\`.`,
    });
  }
  await removeDisks(disks, virsh, context);
}

/** libvirt removes the file as root, wherever the domain's XML says that it is. */
async function nvramFate({ nvram }: Domain, context: VmDestroyContext): Promise<'remove' | 'keep'> {
  if (nvram === undefined) return 'remove';
  const isOurs = await isInside(nvram, [NVRAM_DIRECTORY, ...context.directories]);
  return isOurs ? 'remove' : 'keep';
}

/** Those below the jobs' directories that no other domain refers to. */
async function removeDisks(
  disks: readonly string[],
  virsh: Virsh,
  { directories }: VmDestroyContext,
): Promise<void> {
  const inside: string[] = [];
  for (const disk of disks) if (await isInside(disk, directories)) inside.push(disk);
  if (inside.length === 0) return;
  const used = await filesOfDomains(virsh);
  for (const disk of inside) {
    if (!used.has(await resolvePath(disk))) await removeFileBelow(disk, directories);
  }
}

async function filesOfDomains(virsh: Virsh): Promise<ReadonlySet<string>> {
  const used = new Set<string>();
  for (const id of await listDomains(virsh)) {
    const xml = await domainXml(virsh, id);
    const domain = xml === undefined ? undefined : parseDomain(xml);
    const disks = domain === undefined ? [] : await pathsOf(virsh, domain.disks);
    for (const file of [...(domain?.allFiles ?? []), ...disks]) used.add(await resolvePath(file));
  }
  return used;
}

/** Stops and forgets storage pools in the jobs' directories that no domain uses; what is in them stays. */
async function tidy(context: VmDestroyContext): Promise<void> {
  if ((await findProgram('virsh')) === undefined) return;
  const virsh = virshOf(context);
  const jobPools: { readonly id: string; readonly name: string }[] = [];
  for (const id of await listPools(virsh)) {
    const xml = await poolXml(virsh, id);
    const pool = xml === undefined ? undefined : parsePool(xml);
    if (pool?.path === undefined || !(await isInside(pool.path, context.directories))) continue;
    jobPools.push({ id, name: pool.name });
  }
  if (jobPools.length === 0) return;
  const used = new Set<string>();
  for (const id of await listDomains(virsh)) {
    const xml = await domainXml(virsh, id);
    for (const pool of xml === undefined ? [] : parseDomain(xml).pools) used.add(pool);
  }
  for (const { id, name } of jobPools) if (!used.has(name)) await removePool(virsh, id);
}
