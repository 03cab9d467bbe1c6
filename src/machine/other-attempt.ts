/** Whose a machine is where two attempts have the same id: as after a restore of GitLab. */
import { lstatSync } from 'node:fs';
import { isAlive } from '../process-identity.ts';
import type { MachineRecord } from './record.ts';
import { hasRunnersName } from './temp-dir-mark.ts';

/**
 * Whether the machine belongs to an attempt that lives and is not ours: its GitLab Runner lives and
 * has that attempt's directory, which it removes last of all. A person who calls a stage has no such
 * directory and is believed.
 */
export function isOfOtherAttempt(
  { tmpDir, runnerProcess }: Pick<MachineRecord, 'tmpDir' | 'runnerProcess'>,
  ownTmpDir: string | undefined,
): boolean {
  if (tmpDir === undefined || ownTmpDir === undefined || tmpDir === ownTmpDir) return false;
  if (!hasRunnersName(tmpDir) || !hasRunnersName(ownTmpDir)) return false;
  if (runnerProcess === undefined || !isAlive(runnerProcess)) return false;
  try {
    // Its /tmp may be its own, see systemd.exec(5), PrivateTmp=.
    const seen = `/proc/${runnerProcess.pid}/root${tmpDir}`;
    return lstatSync(seen, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}
