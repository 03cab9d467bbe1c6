/**
 * The config stage's answer, docs/executors/custom.md "Config". GitLab Runner gives `job_env` to
 * the later stages and not to the job.
 */
export interface DriverConfigParts {
  /** The host that runs the job; the Runner says it as "Running on MACHINE via HOST...". */
  readonly hostname: string;
  readonly version: string;
  readonly buildsDir: string;
  readonly cacheDir: string;
  readonly shell: 'bash' | 'sh';
  readonly jobEnv: Readonly<Record<string, string>>;
}

/** One line of JSON. */
export function driverConfig(parts: DriverConfigParts): string {
  const config = {
    builds_dir: parts.buildsDir,
    cache_dir: parts.cacheDir,
    // A machine is one job's: no other project can be below its builds_dir.
    builds_dir_is_shared: false,
    hostname: parts.hostname,
    driver: { name: 'nspawn-runner', version: parts.version },
    job_env: parts.jobEnv,
    shell: parts.shell,
  };
  return `${JSON.stringify(config)}\n`;
}
