/** A value of `_CI_JOB_TAG` that a wrapper around our stages sets, as with beaker-cleanup-driver. */
import { TAG } from '../marks.ts';
import { readEnvironment } from '../process-identity.ts';
import { findRunner } from '../runner-process.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Undefined where there is none, and for one that GitLab Runner was started with itself: all that it
 * starts has it then, so it marks no job, and a reaper that ends what has it would end the Runner.
 * Variables of a job do not get here: they come as CUSTOM_ENV_*.
 * @param ofRunner the environment that GitLab Runner was started with, proc_pid_environ(5);
 *   undefined where that cannot be told.
 */
export function operatorsTag(
  env: Environment,
  ofRunner: () => readonly string[] | undefined = () => runnersEnvironment(env['TMPDIR']),
): string | undefined {
  const tag = env[TAG];
  if (tag === undefined || tag === '') return undefined;
  const has = ofRunner()?.includes(`${TAG}=${tag}`);
  return has === false ? tag : undefined;
}

function runnersEnvironment(tmpDir: string | undefined): readonly string[] | undefined {
  // sudo takes TMPDIR away; what else only a stage has tells who is in between.
  const runner = findRunner(tmpDir ?? '');
  // The host's init, where the Runner is gone.
  if (runner === undefined || runner.pid === 1) return undefined;
  return readEnvironment(runner.pid);
}
