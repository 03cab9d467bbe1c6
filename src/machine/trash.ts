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

/** The unit that deletes one item: it follows no symbolic link and leaves other mounts alone. */
export function sweepUnit(stateDir: string, item: string): TransientUnit {
  const path = join(trashDirectory(stateDir), item);
  return {
    unit: `nspawn-runner-sweep-${item}.service`,
    description: `Delete what job machine ${item} left`,
    serviceType: 'oneshot',
    properties: [
      // A job with CAP_LINUX_IMMUTABLE may have made files immutable; without chattr they stay.
      `ExecStartPre=-/usr/bin/chattr -R -f -i -a -- ${path}`,
      'IOSchedulingClass=idle',
      'CPUWeight=20',
      'NoNewPrivileges=yes',
    ],
    argv: ['/bin/rm', '--recursive', '--force', '--one-file-system', '--', path],
  };
}

export async function startSweep(stateDir: string, item: string): Promise<void> {
  await startUnitNoBlock(sweepUnit(stateDir, item));
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
