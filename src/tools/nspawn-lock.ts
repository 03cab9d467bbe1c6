/** The lock that systemd-nspawn has on a tree while it runs in it, read and never taken. */
import { readFile, stat } from 'node:fs/promises';

/** Named after the tree's own device and inode: image_path_lock() of systemd. */
const LOCKS = '/run/systemd/nspawn/locks';

/** Whether a systemd-nspawn of this host has the tree, booted or not. */
export async function isTreeInUse(tree: string): Promise<boolean> {
  const { dev, ino } = await stat(tree, { bigint: true });
  const file = await stat(`${LOCKS}/inode-${dev}:${ino}`, { bigint: true }).catch(() => undefined);
  if (file === undefined) return false;
  return isLocked(await readFile('/proc/locks', 'utf8'), file);
}

/** The sixth field of proc_locks(5) is the major and minor number in hexadecimal, and the inode. */
export function isLocked(
  locks: string,
  { dev, ino }: { readonly dev: bigint; readonly ino: bigint },
): boolean {
  // makedev(3), as glibc packs the two.
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
  const hex = (number: bigint): string => number.toString(16).padStart(2, '0');
  const wanted = `${hex(major)}:${hex(minor)}:${ino}`;
  return locks.split('\n').some((line) => line.split(/\s+/).includes(wanted));
}
