/** Whether machines can boot from a tree; asked before it becomes current. */
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { existsInTree } from './tree-path.ts';

interface Need {
  /** One of these is enough. */
  readonly paths: readonly string[];
  /** What Debian's package is called, and what it is for. */
  readonly from: string;
}

const NEEDS: readonly Need[] = [
  { paths: ['/usr/lib/systemd/systemd', '/lib/systemd/systemd'], from: 'systemd' },
  { paths: ['/sbin/init'], from: 'systemd-sysv' },
  { paths: ['/usr/bin/dbus-daemon', '/usr/bin/dbus-broker'], from: 'dbus' },
  { paths: ['/bin/sh'], from: 'dash' },
  { paths: ['/bin/bash'], from: 'bash' },
  { paths: ['/bin/cat'], from: 'coreutils' },
  { paths: ['/usr/bin/git'], from: 'git' },
];
/** What mmdebstrap(1) makes; nspawn covers /dev with its own. */
const DEVICES = new Set(
  ['console', 'full', 'null', 'ptmx', 'random', 'tty', 'urandom', 'zero'].map((n) => `/dev/${n}`),
);

/**
 * Sentences that say what is wrong; none for a good tree.
 * @param devices paths in the tree of its device nodes.
 */
export async function treeFaults(
  tree: string,
  devices: readonly string[],
): Promise<readonly string[]> {
  const faults: string[] = [];
  for (const { paths, from } of NEEDS) {
    const found = await Promise.all(paths.map((path) => existsInTree(tree, path)));
    if (!found.includes(true)) {
      faults.push(`"${paths[0] ?? ''}" is missing; package "${from}" has it.`);
    }
  }
  const machineId = await lstat(join(tree, 'etc/machine-id')).catch(() => undefined);
  if (machineId?.isFile() !== true || machineId.size !== 0) {
    faults.push('"/etc/machine-id" must be an empty file, or all machines are the same one.');
  }
  for (const path of devices) {
    if (!DEVICES.has(path)) faults.push(`"${path}" is a device.`);
  }
  return faults;
}
