/** What the driver's config stage prints, read as GitLab Runner reads it. */
import type { Directories } from './variables.ts';
import type { FailedVerdict } from './verdict.ts';
import type { JobResponse } from './job.ts';

export interface DriverConfig {
  readonly builds_dir?: string | undefined;
  readonly cache_dir?: string | undefined;
  readonly builds_dir_is_shared?: boolean | undefined;
  readonly hostname?: string | undefined;
  readonly driver?: { readonly name?: string; readonly version?: string } | undefined;
  readonly job_env?: Readonly<Record<string, string>> | undefined;
  readonly shell?: string | undefined;
}

const TYPES: Readonly<Record<string, 'string' | 'boolean' | 'strings'>> = {
  builds_dir: 'string',
  cache_dir: 'string',
  builds_dir_is_shared: 'boolean',
  hostname: 'string',
  driver: 'strings',
  job_env: 'strings',
  shell: 'string',
};

/** The parsed output, or why the Runner refuses it. Empty output changes nothing. */
export function parseDriverConfig(stdout: string): DriverConfig | FailedVerdict {
  if (stdout === '') return {};
  const refuse = (why: string): FailedVerdict => ({
    kind: 'system-failure',
    message: `error while parsing JSON output: ${why}`,
  });
  let value: unknown;
  try {
    value = JSON.parse(stdout);
  } catch (error) {
    return refuse((error as Error).message);
  }
  if (value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value)) return refuse('not an object');
  for (const [key, type] of Object.entries(TYPES)) {
    const field = (value as Record<string, unknown>)[key];
    if (!isOfType(field, type)) return refuse(`"${key}" has the wrong type`);
  }
  // An explicit null is the same as a key that is not there.
  return Object.fromEntries(
    Object.entries(value).filter(([key, field]) => key in TYPES && field !== null),
  );
}

export interface DirectorySource {
  readonly config: DriverConfig;
  /** builds_dir and cache_dir of config.toml. */
  readonly buildsDir: string | undefined;
  readonly cacheDir: string | undefined;
  readonly response: JobResponse;
  readonly shortToken: string;
  readonly concurrentProjectId: number;
}

/** The job's directories in the machine, or why the Runner cannot tell them. */
export function jobDirectories(source: DirectorySource): Directories | FailedVerdict {
  const builds = source.config.builds_dir ?? source.buildsDir ?? '';
  const cache = source.config.cache_dir ?? source.cacheDir ?? '';
  const refuse = (message: string): FailedVerdict => ({ kind: 'configuration-error', message });
  if (builds === '') return refuse('the builds_dir is not configured');
  if (cache === '') return refuse('the cache_dir is not configured');
  if (!builds.startsWith('/')) return refuse('build directory needs to be an absolute path');
  if (!cache.startsWith('/')) return refuse('cache directory needs to be an absolute path');
  const path = projectPath(source.response);
  const shared =
    source.config.builds_dir_is_shared === true
      ? `/${source.shortToken}/${source.concurrentProjectId}`
      : '';
  return { builds, cache: `${cache}/${path}`, project: `${builds}${shared}/${path}` };
}

/** `group/project` of the repository's URL; `project-ID` for one without a host. */
function projectPath(response: JobResponse): string {
  const { repo_url: url } = response.git_info;
  const fallback = `project-${response.job_info.project_id}`;
  if (!URL.canParse(url) || new URL(url).host === '') return fallback;
  const path = new URL(url).pathname.replace(/^\/+|\/+$/g, '').replace(/\.git$/, '');
  return path === '' ? fallback : path;
}

function isOfType(value: unknown, type: 'string' | 'boolean' | 'strings'): boolean {
  if (value === undefined || value === null) return true;
  if (type !== 'strings') return typeof value === type;
  return (
    typeof value === 'object' &&
    !Array.isArray(value) &&
    Object.values(value).every((item) => typeof item === 'string')
  );
}
