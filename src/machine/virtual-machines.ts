/** A job's virtual machines on the host, which systemd knows nothing of. */
import { realpathSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { VmClaim, VmKind } from '../vm/virtual-machine.ts';
import { claimedMachines, readClaim, removeClaim } from './claim.ts';
import { jobDirectory, jobsDirectory } from './job-directory.ts';
import { parseMachineName } from './names.ts';
import { readUsableRecord, type MachineRecord, type VmPlaces } from './record.ts';
import { registeredMachines } from './remains.ts';

export interface VmSearch {
  readonly stateDir: string;
  readonly machine: string;
  readonly tag?: string | undefined;
  /** Where to look besides what the claim says. */
  readonly virtualMachines?: VmPlaces | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Destroys the virtual machines of a dead job, and then the claim that told where to look.
 * @returns what is left, one sentence each; the claim then stays for the next time.
 */
export async function releaseClaim(search: VmSearch): Promise<readonly string[]> {
  const left = await removeVirtualMachines(search);
  if (left.length === 0) removeClaim(search.stateDir, search.machine);
  return left;
}

/** The same without the claim's end, for a job whose machine may yet start others. */
export async function removeVirtualMachines(search: VmSearch): Promise<readonly string[]> {
  const { stateDir, machine, tag, signal } = search;
  const claim = readClaim(stateDir, machine);
  const places = [claim?.virtualMachines, search.virtualMachines].filter((p) => p !== undefined);
  const kinds = kindsToSearch(places);
  if (kinds.length === 0) return [];
  const { destroyVmsOfJob } = await import('../vm/virtual-machines.ts');
  const { failures, undecided } = await destroyVmsOfJob({
    claim: vmClaim(stateDir, machine, claim ?? { tag }),
    others: await otherClaims(stateDir, machine),
    kinds,
    users: [...new Set(['root', ...places.flatMap(({ users }) => users)])],
    signal,
  });
  return [...failures, ...undecided];
}

/** Machines beside ours are looked at whatever the settings say: a job can only register one with our leave. */
function kindsToSearch(places: readonly VmPlaces[]): readonly VmKind[] {
  const others = registeredMachines().filter((name) => parseMachineName(name) === undefined);
  const isForeign = others.some((name) => name !== '.host');
  const kinds = places.flatMap((place) => place.kinds);
  return [...new Set([...kinds, ...(isForeign ? (['nspawn'] as const) : [])])];
}

export function vmClaim(
  stateDir: string,
  machine: string,
  known: { readonly tag?: string | undefined } & Pick<MachineRecord, 'directories'>,
): VmClaim {
  const directories = [jobDirectory(stateDir, machine).path, ...(known.directories ?? [])];
  return { machine, tag: known.tag, directories: [...new Set(directories.map(resolved))] };
}

/** Every other job of which anything is known: what one of them may own is left alone. */
async function otherClaims(stateDir: string, machine: string): Promise<VmClaim[]> {
  const names = await readdir(jobsDirectory(stateDir)).catch(() => []);
  const others = new Set([...names, ...claimedMachines(stateDir)]);
  others.delete(machine);
  return [...others]
    .filter((name) => parseMachineName(name) !== undefined)
    .map((name) => {
      const record = readUsableRecord(jobDirectory(stateDir, name).record);
      return vmClaim(stateDir, name, record ?? readClaim(stateDir, name) ?? {});
    });
}

/** Links resolved; of a directory that is gone, those on the way to it. */
function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(resolved(parent), basename(path));
  }
}
