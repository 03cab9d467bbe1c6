/**
 * What the config stage hands on to the later ones through `job_env`: it arrives without the
 * CUSTOM_ENV_ prefix, so no job can forge it. A convenience; each stage works without it.
 */
import type { Environment } from './job.ts';

const STATE_DIR = 'NSPAWN_RUNNER_STATE_DIR';

export function jobEnv(stateDir: string): Readonly<Record<string, string>> {
  return { [STATE_DIR]: stateDir };
}

/** Undefined where the config stage failed or did not run. */
export function handedOnStateDir(env: Environment = process.env): string | undefined {
  const value = env[STATE_DIR];
  return value?.startsWith('/') === true ? value : undefined;
}
