/** Where a job's things are on the host. One directory a machine, gone with it. */
import { join } from 'node:path';

export interface JobDirectory {
  readonly path: string;
  readonly record: string;
  readonly upper: string;
  readonly work: string;
  readonly merged: string;
  /** What the machine and systemd-nspawn print while they boot. */
  readonly console: string;
}

export function jobsDirectory(stateDir: string): string {
  return join(stateDir, 'jobs');
}

/** Same file system as the jobs: a directory gets there by one rename and is deleted from there. */
export function trashDirectory(stateDir: string): string {
  return join(stateDir, 'trash');
}

export function jobDirectory(stateDir: string, machine: string): JobDirectory {
  const path = join(jobsDirectory(stateDir), machine);
  return {
    path,
    record: join(path, 'record.json'),
    upper: join(path, 'upper'),
    work: join(path, 'work'),
    merged: join(path, 'merged'),
    console: join(path, 'console'),
  };
}
