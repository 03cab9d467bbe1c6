/** A value of `_CI_JOB_TAG` that a wrapper around our stages sets, as with beaker-cleanup-driver. */
import { readFileSync } from 'node:fs';
import { TAG } from '../marks.ts';

/**
 * Undefined where there is none, and for one that whoever started us was started with itself: GitLab
 * Runner and all that it starts have it then, so it marks no job, and a reaper that ends what has it
 * would end the Runner. Variables of a job do not get here: they come as CUSTOM_ENV_*.
 * @param startedBy the environment that our parent was started with, as proc_pid_environ(5) has it;
 *   undefined where it cannot be read.
 */
export function operatorsTag(
  env: Readonly<Record<string, string | undefined>>,
  startedBy: () => string | undefined = parentsEnvironment,
): string | undefined {
  const tag = env[TAG];
  if (tag === undefined || tag === '') return undefined;
  const has = startedBy()?.split('\0').includes(`${TAG}=${tag}`);
  return has === false ? tag : undefined;
}

function parentsEnvironment(): string | undefined {
  try {
    return readFileSync(`/proc/${process.ppid}/environ`, 'utf8');
  } catch {
    return undefined;
  }
}
