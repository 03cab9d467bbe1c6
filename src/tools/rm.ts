/** rm(1): removes a tree without following a link or leaving its file system. */
import { lstat, readFile, realpath } from 'node:fs/promises';
import { HostError } from '../errors.ts';
import { run } from './exec.ts';

/** Mount points at or below `path`, from the text of /proc/self/mountinfo (proc(5)). */
export function mountsBelow(path: string, mountinfo: string): readonly string[] {
  return mountinfo
    .split('\n')
    .map((line) => unescapeOctal(line.split(' ')[4] ?? ''))
    .filter((point) => point === path || point.startsWith(`${path}/`));
}

/**
 * Removes a directory with all that is in it; one that is not there is no failure.
 * @throws HostError, and nothing is removed, when something is mounted there.
 */
export async function removeTree(path: string): Promise<void> {
  if ((await lstat(path).catch(() => undefined)) === undefined) return;
  const real = await realpath(path);
  const mounts = mountsBelow(real, await readFile('/proc/self/mountinfo', 'utf8'));
  if (mounts.length > 0) {
    throw new HostError(`"${path}" is not removed, because something is mounted there.`, {
      details: mounts,
      hint: 'Unmount it with umount, then try again.',
    });
  }
  const args = ['--recursive', '--force', '--one-file-system', '--', path];
  await run('rm', args, { timeoutSec: 0 });
}

/** A blank, tab, newline and backslash are written as three octal digits. */
function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(parseInt(digits, 8)),
  );
}
