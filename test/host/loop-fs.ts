/** File systems of their own in files, mounted while a test needs them. */
import { execa } from 'execa';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hasVmPackages } from './vm-packages.ts';

export const KINDS = ['ext4', 'xfs', 'btrfs'] as const;
export type LoopKind = (typeof KINDS)[number];

export interface LoopFileSystem {
  /** Where it is mounted; empty, but for lost+found of ext4. */
  readonly path: string;
  /** Bytes in use, when all that was written and deleted has come to the disk. */
  readonly usedBytes: () => Promise<number>;
  readonly remove: () => Promise<void>;
}

/** Whether this host lets us have such file systems; why not is said. */
export async function hasLoopFileSystems(): Promise<boolean> {
  if (!existsSync('/dev/loop0')) {
    console.warn('SKIPPED: there is no /dev/loop0 (scripts/lab-host start --loop-devices).');
    return false;
  }
  return hasVmPackages('e2fsprogs', 'xfsprogs', 'btrfs-progs', 'attr', 'acl', 'libcap2-bin');
}

export async function makeLoopFileSystem(kind: LoopKind, sizeGiB: number): Promise<LoopFileSystem> {
  const dir = await mkdtemp(`/var/tmp/loop-${kind}-`);
  const [image, path] = [join(dir, 'image'), join(dir, 'mount')];
  await writeFile(image, '');
  await truncate(image, sizeGiB * 1024 ** 3);
  await mkdir(path);
  const quiet = kind === 'xfs' || kind === 'btrfs' ? '-f' : '-F';
  await execa(`mkfs.${kind}`, ['-q', quiet, image]);
  // Detached by itself with the mount, mount(8), "loop".
  await execa('mount', ['-o', 'loop', image, path]);
  return {
    path,
    usedBytes: () => usedBytes(kind, path),
    remove: async () => {
      await execa('umount', [path]);
      await rm(dir, { recursive: true });
    },
  };
}

async function usedBytes(kind: LoopKind, path: string): Promise<number> {
  // Deleted subvolumes go in their own time, which is 30 s unless the file system is synchronized.
  if (kind === 'btrfs') {
    await execa('btrfs', ['filesystem', 'sync', path]);
    await execa('btrfs', ['subvolume', 'sync', path]);
  }
  await execa('sync', ['--file-system', path]);
  const { stdout } = await execa('df', ['--block-size=1', '--output=used', path]);
  return Number(stdout.split('\n')[1]);
}
