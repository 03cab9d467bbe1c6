/** Nothing is built where it could take the space that jobs need. */
import { mkdir } from 'node:fs/promises';
import { freeSpace } from '../chroot/tree-storage.ts';
import { writeFailure } from '../chroot/write-failure.ts';
import { HostError } from '../errors.ts';
import type { Settings } from '../settings.ts';

const MIB = 1024 * 1024;

/** @throws HostError where less is free than the operator's `minimum_free_space`. */
export async function requireFreeSpace({
  stateDir,
  minimumFreeSpace: { bytes, percent },
}: Pick<Settings, 'stateDir' | 'minimumFreeSpace'>): Promise<void> {
  await mkdir(stateDir, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw writeFailure(error, stateDir);
  });
  const { freeBytes, totalBytes } = await freeSpace(stateDir);
  const minimum = bytes ?? (totalBytes * (percent ?? 0)) / 100;
  if (freeBytes >= minimum) return;
  const mib = (count: number): string => `${Math.floor(count / MIB)} MiB`;
  throw new HostError(`The disk of "${stateDir}" is short of space: nothing is built.`, {
    details: [
      `${mib(freeBytes)} of ${mib(totalBytes)} are free; minimum_free_space asks for ${mib(minimum)}.`,
    ],
    hint: 'Remove chroots that nobody uses (nspawn-runner chroot list), make room, or set minimum_free_space.',
  });
}
