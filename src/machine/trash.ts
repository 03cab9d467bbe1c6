/**
 * A job's directory leaves by one rename into the trash; a unit of its own deletes it there at its
 * own pace. ExecStopPost= runs under the unit's stop timeout, which would cut a long deletion off
 * half way (systemd.service(5), TimeoutStopSec=).
 */
import { randomBytes } from 'node:crypto';
import { basename, join } from 'node:path';
import { startUnitNoBlock, systemdRunArguments, type TransientUnit } from '../tools/systemd-run.ts';
import { trashDirectory } from './job-directory.ts';

/** A name in the trash that no other attempt of the same job has. */
export function trashName(path: string): string {
  return `${basename(path)}-${randomBytes(4).toString('hex')}`;
}

export function sweepUnitName(item: string): string {
  return `nspawn-runner-sweep-${item}.service`;
}

/**
 * The unit that deletes one item: it follows no symbolic link and crosses no mount.
 * @param isAgain an attempt before left something; this one takes its time.
 */
export function sweepUnit(stateDir: string, item: string, isAgain = false): TransientUnit {
  const trash = trashDirectory(stateDir);
  const path = join(trash, item);
  return {
    unit: sweepUnitName(item),
    description: `Delete what job machine ${item} left`,
    serviceType: 'oneshot',
    properties: [
      // Seen through a bind that is not recursive, nothing is mounted below: rm(1) could not tell a
      // bind mount of the same file system. The empty mount point stays, for the reaper to unmount.
      `BindPaths=${trash}:${trash}:norbind`,
      // A job with CAP_LINUX_IMMUTABLE may have made files immutable; without chattr they stay.
      `ExecStartPre=-/usr/bin/chattr -R -f -i -a -- ${path}`,
      // chattr(1) passes over what is deeper than a path can be long; find(1) goes there step by step.
      ...(isAgain
        ? [
            `ExecStartPre=-/usr/bin/find ${path} -xdev -execdir /usr/bin/chattr -f -i -a -- {} +` as const,
          ]
        : []),
      'IOSchedulingClass=idle',
      'CPUWeight=20',
      ...CONFINEMENT,
    ],
    argv: ['/bin/rm', '--recursive', '--force', '--one-file-system', '--', path],
  };
}

/** All that a deletion of foreign files needs, and no more; docs/security.md has the figure. */
const CONFINEMENT = [
  'NoNewPrivileges=yes',
  'ProtectSystem=strict',
  'CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_LINUX_IMMUTABLE',
  'SystemCallFilter=@system-service',
  'SystemCallErrorNumber=EPERM',
  'SystemCallArchitectures=native',
  'RestrictAddressFamilies=AF_UNIX',
  'RestrictNamespaces=yes',
  'RestrictRealtime=yes',
  'RestrictSUIDSGID=yes',
  'MemoryDenyWriteExecute=yes',
  'LockPersonality=yes',
  'KeyringMode=private',
  'UMask=0077',
] as const;

export async function startSweep(
  stateDir: string,
  item: string,
  { isAgain = false } = {},
): Promise<void> {
  await startUnitNoBlock(sweepUnit(stateDir, item, isAgain));
}

/** The same as a command for ExecStopPost=. */
export function sweepCommand(stateDir: string, item: string): string[] {
  return [
    '/usr/bin/systemd-run',
    '--collect',
    '--no-block',
    ...systemdRunArguments(sweepUnit(stateDir, item)),
  ];
}
