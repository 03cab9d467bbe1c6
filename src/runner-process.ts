/** Which process is the GitLab Runner that called us. */
import { STAGE_MARK } from './marks.ts';
import {
  identifyProcess,
  readEnvironment,
  readStat,
  type ProcessIdentity,
} from './process-identity.ts';

/**
 * The GitLab Runner that called this stage: the nearest ancestor that has neither the stage's own
 * TMPDIR nor what only a stage has, so that a script or sudo in between is not taken for it, also
 * one that changes TMPDIR. Undefined when unsure.
 */
export function findRunner(
  tmpDir: string | undefined,
  from = process.ppid,
): ProcessIdentity | undefined {
  if (tmpDir === undefined) return undefined;
  let pid = from;
  while (pid > 0) {
    const environment = readEnvironment(pid);
    if (environment.every((entry) => entry === '')) return undefined;
    const isBetween = environment.some(
      (entry) => entry === `TMPDIR=${tmpDir}` || entry.startsWith(`${STAGE_MARK}=`),
    );
    if (!isBetween) return identifyProcess(pid);
    pid = readStat(pid)?.parent ?? 0;
  }
  return undefined;
}
