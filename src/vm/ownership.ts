/**
 * Whose is a virtual machine? Pure.
 *
 * INVARIANT: a machine is a victim only on positive evidence that a dead job made it, and never
 * while any evidence speaks for a living one.
 */
import { isAbsolute, relative } from 'node:path';
import type { VirtualMachine, VmClaim } from './virtual-machine.ts';

export interface Evidence {
  readonly claim: VmClaim;
  /** For people: what ties the virtual machine to the job. */
  readonly proof: readonly string[];
}

export interface Victim extends Evidence {
  readonly vm: VirtualMachine;
}

/** Component by component: `/a/bc` is not below `/a/b`. */
export function isAtOrBelow(path: string, directory: string): boolean {
  if (!isAbsolute(path) || !isOwnable(directory)) return false;
  const rest = relative(directory, path);
  return rest === '' || (rest !== '..' && !rest.startsWith('../'));
}

/** A root directory or one of its children is never one job's alone. */
function isOwnable(directory: string): boolean {
  return isAbsolute(directory) && directory.split('/').filter((part) => part !== '').length >= 2;
}

/** What ties a virtual machine to a claim; undefined when nothing does. */
export function evidenceFor(vm: VirtualMachine, claim: VmClaim): Evidence | undefined {
  const proof: string[] = [];
  if (vm.machines.includes(claim.machine)) proof.push(`marked _CI_JOB_MACHINE=${claim.machine}`);
  // Two GitLab instances may give the same tag; the machine's name tells their jobs apart.
  if (vm.machines.length === 0 && claim.tag !== undefined && vm.tags.includes(claim.tag)) {
    proof.push(`marked _CI_JOB_TAG=${claim.tag}`);
  }
  for (const file of vm.files) {
    if (claim.directories.some((directory) => isAtOrBelow(file, directory))) {
      proof.push(`has ${file}`);
    }
  }
  return proof.length === 0 ? undefined : { claim, proof };
}

/** The claims that own a virtual machine, by mark or by file. */
export function claimsOf(vm: VirtualMachine, claims: readonly VmClaim[]): readonly VmClaim[] {
  return claims.filter((claim) => evidenceFor(vm, claim) !== undefined);
}

/** A dead job that only a doubtful tag names, see VirtualMachine. */
function doubtfulEvidence(vm: VirtualMachine, claim: VmClaim): Evidence | undefined {
  return claim.tag !== undefined && vm.doubtfulTags.includes(claim.tag)
    ? { claim, proof: [`its process has _CI_JOB_TAG=${claim.tag}`] }
    : undefined;
}

export interface Choice {
  readonly victims: readonly Victim[];
  /** May be a dead job's, but a living one could have made it as well; to be looked at again. */
  readonly undecided: readonly Victim[];
}

/** Which virtual machines die with the dead jobs. */
export function chooseVictims(
  found: readonly VirtualMachine[],
  dead: readonly VmClaim[],
  living: readonly VmClaim[],
): Choice {
  const victims: Victim[] = [];
  const undecided: Victim[] = [];
  for (const vm of found) {
    if (claimsOf(vm, living).length > 0) continue;
    const [sure] = dead.flatMap((claim) => evidenceFor(vm, claim) ?? []);
    if (sure !== undefined) {
      victims.push({ vm, ...sure });
      continue;
    }
    if (vm.machines.length > 0 || vm.tags.length > 0) continue;
    const [doubtful] = dead.flatMap((claim) => doubtfulEvidence(vm, claim) ?? []);
    if (doubtful === undefined) continue;
    (living.length === 0 ? victims : undecided).push({ vm, ...doubtful });
  }
  return { victims, undecided };
}
