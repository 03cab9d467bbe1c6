/**
 * The environment of a driver call, in the Runner's order: the last of one name wins, so `job_env`
 * may replace even the five fixed variables (docs/executors/custom.md, "Environment").
 */
import type { JobImage, JobResponse } from './job.ts';
import type { ResolvedVariable } from './variables.ts';

export interface DriverEnvironmentParts {
  readonly host: Readonly<Record<string, string>>;
  /** Undefined when it could not be made; cleanup then runs with empty values. */
  readonly tempDir: string | undefined;
  readonly hasResponseFile: boolean;
  readonly jobEnv: Readonly<Record<string, string>>;
  readonly variables: ReadonlyMap<string, ResolvedVariable>;
  readonly response: JobResponse;
}

export const EXIT_CODE_FILE = 'build_exit_code';
export const RESPONSE_FILE = 'response.json';

export function driverEnvironment(parts: DriverEnvironmentParts): Record<string, string> {
  const { host, tempDir, hasResponseFile, jobEnv, variables, response } = parts;
  const within = (name: string): string => (tempDir === undefined ? '' : `${tempDir}/${name}`);
  const env: Record<string, string> = {
    ...host,
    TMPDIR: tempDir ?? '',
    BUILD_FAILURE_EXIT_CODE: '1',
    SYSTEM_FAILURE_EXIT_CODE: '2',
    BUILD_EXIT_CODE_FILE: within(EXIT_CODE_FILE),
    JOB_RESPONSE_FILE: hasResponseFile ? within(RESPONSE_FILE) : '',
    ...jobEnv,
  };
  for (const { key, content } of variables.values()) env[`CUSTOM_ENV_${key}`] = content;
  env['CUSTOM_ENV_CI_JOB_SERVICES'] = servicesText(response.services ?? []);
  return env;
}

/** Empty for a job without services, else a JSON list. */
function servicesText(services: readonly JobImage[]): string {
  if (services.length === 0) return '';
  return JSON.stringify(
    services.map(({ name, alias, entrypoint, command, variables }) => ({
      name,
      alias: alias?.split(/[ ,]+/)[0] ?? '',
      entrypoint: entrypoint ?? null,
      command: command ?? null,
      ...(variables === undefined || variables.length === 0
        ? {}
        : { variables: Object.fromEntries(variables.map(({ key, value }) => [key, value])) }),
    })),
  );
}
