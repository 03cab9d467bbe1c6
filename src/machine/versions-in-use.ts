/** Which versions of chroots the jobs of this host use, for whoever removes old ones. */
import { readdir } from 'node:fs/promises';
import { jobDirectory, jobsDirectory } from './job-directory.ts';
import { inspectRecord } from './record.ts';

export interface VersionInUse {
  readonly chroot: string;
  readonly version: string;
  readonly machine: string;
}

export interface VersionsInUse {
  readonly versions: readonly VersionInUse[];
  /** False where a record is there that cannot be read: any version may be in use. */
  readonly isCertain: boolean;
}

/**
 * From all records of the state directory, those of trials among them. To be called after `current`
 * was switched, see hold-current.ts: a directory without a record has not looked at it yet.
 */
export async function versionsInUse(stateDir: string): Promise<VersionsInUse> {
  const names = await readdir(jobsDirectory(stateDir)).catch(noneIfAbsent);
  if (names === undefined) return { versions: [], isCertain: false };
  const versions: VersionInUse[] = [];
  let isCertain = true;
  for (const machine of names) {
    const found = inspectRecord(jobDirectory(stateDir, machine).record);
    if (found.state === 'usable') {
      const { chroot, chrootVersion: version } = found.record;
      versions.push({ chroot, version, machine });
    } else if (found.state !== 'none') isCertain = false;
  }
  return { versions, isCertain };
}

function noneIfAbsent(error: unknown): readonly string[] | undefined {
  return (error as NodeJS.ErrnoException).code === 'ENOENT' ? [] : undefined;
}
