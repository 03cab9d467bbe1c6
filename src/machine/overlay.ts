/**
 * The writable side of a machine: the overlay's upperdir with the few files that differ from job
 * to job. A directory made here hides nothing of the chroot, but its mode and owner win, so they
 * are taken from the chroot's directory of the same name.
 */
import { chmod, chown, lstat, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HostError } from '../errors.ts';
import { readInTree } from '../tools/tree-path.ts';
import type { Account } from './account.ts';
import type { JobDirectory } from './job-directory.ts';

export interface OverlayContents {
  readonly chroot: string;
  readonly machine: string;
  /** Absolute in the machine; made here for `owner`. */
  readonly directories: readonly string[];
  readonly owner: Account;
}

/** Makes upperdir, workdir and mount point with their first contents. */
export async function createOverlay(
  directory: JobDirectory,
  { chroot, machine, directories, owner }: OverlayContents,
): Promise<void> {
  await Promise.all([directory.upper, directory.work, directory.merged].map((path) => mkdir(path)));
  // The root of the machine takes the upperdir's mode; the job's directory keeps others out.
  await chmod(directory.upper, 0o755);
  await copyDirectory(chroot, directory.upper, '/etc');
  const lower = (await readInTree(chroot, '/etc/hosts')) ?? '';
  await writeFile(join(directory.upper, 'etc/hosts'), hostsFile(lower, machine));
  await writeFile(join(directory.upper, 'etc/hostname'), `${machine}\n`);
  for (const path of directories) {
    await copyDirectory(chroot, directory.upper, path);
    await chown(join(directory.upper, path), owner.uid, owner.gid);
  }
}

/** hosts(5) with the machine's own name, which must resolve without DNS: git asks with every commit. */
export function hostsFile(lower: string, machine: string): string {
  const lines = lower.split('\n').filter((line) => line.trim() !== '');
  if (!lines.some((line) => /^127\.0\.0\.1\s/.test(line))) lines.unshift('127.0.0.1 localhost');
  return `${[...lines, `127.0.1.1 ${machine}`].join('\n')}\n`;
}

async function copyDirectory(chroot: string, upper: string, path: string): Promise<void> {
  if (path === '/' || path === '.') return;
  await copyDirectory(chroot, upper, dirname(path));
  const lower = await lstat(join(chroot, path)).catch(() => undefined);
  if (lower !== undefined && !lower.isDirectory()) {
    throw new HostError(`"${path}" is not a directory in the chroot.`, {
      details: [`In ${chroot} it is something else, or a symbolic link.`],
      hint: 'Choose another builds_dir or cache_dir in the settings.',
    });
  }
  const target = join(upper, path);
  try {
    await mkdir(target);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
    throw error;
  }
  await chmod(target, (lower?.mode ?? 0o755) & 0o7777);
  if (lower !== undefined) await chown(target, lower.uid, lower.gid);
}
