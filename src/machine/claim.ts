/**
 * On a host with virtual machines, what systemd cannot own: a copy of the record that stays when
 * systemd has taken the job's directory, until somebody has looked for virtual machines of the job.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { entriesOf } from './directory-entries.ts';
import { jobDirectory } from './job-directory.ts';
import { parseMachineName } from './names.ts';
import { readUsableRecord, writeRecord, type MachineRecord } from './record.ts';

export function claimsDirectory(stateDir: string): string {
  return join(stateDir, 'claims');
}

export function claimPath(stateDir: string, machine: string): string {
  return join(claimsDirectory(stateDir), `${machine}.json`);
}

/** Written before the machine boots, when its directory is there; replaces that of an earlier attempt. */
export function writeClaim(stateDir: string, record: MachineRecord): void {
  mkdirSync(claimsDirectory(stateDir), { recursive: true, mode: 0o700 });
  const { path } = jobDirectory(stateDir, record.machine);
  // What a killed prepare leaves of it goes with the job's directory.
  writeRecord(claimPath(stateDir, record.machine), record, join(path, 'claim.json.new'));
}

/** Undefined where there is none, or none that can be read. */
export function readClaim(stateDir: string, machine: string): MachineRecord | undefined {
  return readUsableRecord(claimPath(stateDir, machine));
}

export function removeClaim(stateDir: string, machine: string): void {
  rmSync(claimPath(stateDir, machine), { force: true });
}

/** Machines that have a claim, also one that cannot be read. */
export function claimedMachines(stateDir: string): readonly string[] {
  return entriesOf(claimsDirectory(stateDir))
    .map((name) => name.replace(/\.json$/, ''))
    .filter((name) => parseMachineName(name) !== undefined);
}
