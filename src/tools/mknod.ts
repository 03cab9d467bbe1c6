/** mknod(1). */
import { runConfined, type ConfinedRun } from './confined.ts';

/** Makes a character device that all may read and write. */
export async function makeCharacterDevice(
  path: string,
  [major, minor]: readonly [number, number],
  how: ConfinedRun,
): Promise<void> {
  await runConfined('mknod', ['--mode=666', '--', path, 'c', String(major), String(minor)], how);
}
