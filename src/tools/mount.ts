/** mount(8) and umount(8), and what is mounted. */
import { readFile, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CommandError, HostError } from '../errors.ts';
import { run } from './exec.ts';

export interface OverlayDirectories {
  readonly lower: string;
  readonly upper: string;
  readonly work: string;
  readonly merged: string;
}

export function overlayTrialArguments({
  lower,
  upper,
  work,
  merged,
}: OverlayDirectories): string[] {
  return [
    '--mount',
    '--propagation=private',
    '--',
    'mount',
    '--types=overlay',
    `--options=lowerdir=${lower},upperdir=${upper},workdir=${work}`,
    '--',
    'nspawn-runner',
    merged,
  ];
}

/** Mounts an overlay where nobody else sees it. Undefined when that works, else what mount said. */
export async function tryOverlay(directories: OverlayDirectories): Promise<string | undefined> {
  try {
    await run('unshare', overlayTrialArguments(directories), { timeoutSec: 10 });
    return undefined;
  } catch (error) {
    if (error instanceof CommandError) return error.command.stderrTail.trim().split('\n')[0];
    if (error instanceof HostError) return error.message;
    throw error;
  }
}

/** Mount points at or below a path without links. */
export async function mountsAt(path: string): Promise<readonly string[]> {
  return mountsBelow(path, await readFile('/proc/self/mountinfo', 'utf8'));
}

/** The same from the text of /proc/PID/mountinfo (proc_pid_mountinfo(5)), in the order of mounting. */
export function mountsBelow(path: string, mountinfo: string): readonly string[] {
  return mountinfo
    .split('\n')
    .map((line) => unescapeOctal(line.split(' ')[4] ?? ''))
    .filter((point) => point === path || point.startsWith(`${path}/`));
}

/**
 * Detaches all that is mounted at or below a path, at once also where it is in use; what the mounts
 * show is not touched. A path that is a link itself has nothing below.
 * @throws CommandError when a mount does not go.
 */
export async function unmountBelow(path: string): Promise<void> {
  // The kernel tells mount points without the links on the way to them.
  const parent = await realpath(dirname(path)).catch(() => undefined);
  if (parent === undefined) return;
  const place = join(parent, basename(path));
  let before = Infinity;
  // Each round takes the uppermost of those that are stacked on one point.
  for (;;) {
    const points = await mountsAt(place);
    if (points.length === 0 || points.length >= before) return;
    before = points.length;
    const topmost = points.filter((p) => !points.some((other) => p.startsWith(`${other}/`)));
    for (const point of new Set(topmost)) {
      // A mount below a recursive bind is a peer of the original, which would be unmounted with it
      // (mount_namespaces(7), "Propagation of unmount events").
      await run('mount', ['--make-rprivate', '--', point]);
      await run('umount', ['--lazy', '--no-canonicalize', '--', point]);
    }
  }
}

/** A blank, tab, newline and backslash are written as three octal digits. */
function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(parseInt(digits, 8)),
  );
}
