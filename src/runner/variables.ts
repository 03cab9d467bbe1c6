/**
 * The job's variables as GitLab Runner makes them: its own first, then the job's, which win
 * whatever they are called. Every value is expanded once against the values as they were given.
 */
import type { JobResponse, JobVariable } from './job.ts';
import { jobTimeoutSec } from './timing.ts';

export interface Directories {
  /** Absolute, in the machine. */
  readonly builds: string;
  readonly cache: string;
  readonly project: string;
}

export interface RunnerFacts {
  /** The version that jobs read in CI_RUNNER_VERSION. */
  readonly version: string;
  readonly shortToken: string;
  readonly concurrentId: number;
  readonly concurrentProjectId: number;
  /** `environment` of config.toml. */
  readonly environment: readonly JobVariable[];
}

export type JobStatus = 'running' | 'success' | 'failed' | 'canceled' | 'timedout';

export interface VariableSource {
  readonly response: JobResponse;
  readonly runner: RunnerFacts;
  /** Undefined before the config stage has said them. */
  readonly directories: Directories | undefined;
  readonly status: JobStatus;
}

/** Name, and value for the driver (`content`) and for the scripts (`value`); they differ for files. */
export interface ResolvedVariable {
  readonly key: string;
  readonly value: string;
  readonly content: string;
  readonly isFile: boolean;
}

const REFERENCE = /\$(?:\{([^}]*)\}|([A-Za-z_][A-Za-z0-9_]*)|([$*#@!?\-0-9]))/g;

/** Expands `$NAME` and `${NAME}`; what `lookup` does not know becomes nothing, and `$$` is `$`. */
export function expand(text: string, lookup: (name: string) => string | undefined): string {
  return text.replace(
    REFERENCE,
    (_all, braced: string | undefined, plain: string | undefined, special: string | undefined) => {
      if (special !== undefined) return special === '$' ? '$' : '';
      return lookup(braced ?? plain ?? '') ?? '';
    },
  );
}

/** Where the scripts put the files of a project that are not the project's. */
export function temporaryDirectory(directories: Directories | undefined): string {
  return `${directories?.project ?? ''}.tmp`;
}

/** Variables by name, the last of one name winning. */
export function resolveVariables(source: VariableSource): ReadonlyMap<string, ResolvedVariable> {
  const given = new Map<string, JobVariable>();
  for (const variable of [...runnerVariables(source), ...source.response.variables]) {
    given.set(variable.key, variable);
  }
  const temporary = temporaryDirectory(source.directories);
  const pathOf = (key: string): string => `${temporary}/${key}`;
  const lookup = (name: string): string | undefined => {
    const variable = given.get(name);
    return variable?.file === true ? pathOf(name) : variable?.value;
  };
  const resolved = new Map<string, ResolvedVariable>();
  for (const { key, value, raw, file } of given.values()) {
    const content = raw === true ? value : expand(value, lookup);
    const isFile = file === true;
    resolved.set(key, { key, content, isFile, value: isFile ? pathOf(key) : content });
  }
  return resolved;
}

function runnerVariables(source: VariableSource): readonly JobVariable[] {
  const { response, runner, directories, status } = source;
  const plain = (key: string, value: string): JobVariable => ({ key, value, raw: true });
  const image = response.image?.name;
  return [
    plain('CI_SERVER', 'yes'),
    plain('CI_JOB_STATUS', status),
    plain('CI_JOB_TIMEOUT', String(jobTimeoutSec(response.runner_info.timeout))),
    plain('CI_BUILDS_DIR', directories?.builds ?? ''),
    plain('CI_PROJECT_DIR', directories?.project ?? ''),
    plain('RUNNER_TEMP_PROJECT_DIR', temporaryDirectory(directories)),
    plain('CI_CONCURRENT_ID', String(runner.concurrentId)),
    plain('CI_CONCURRENT_PROJECT_ID', String(runner.concurrentProjectId)),
    plain('CI_RUNNER_SHORT_TOKEN', runner.shortToken),
    plain('CI_RUNNER_VERSION', runner.version),
    plain('CI_RUNNER_REVISION', 'local'),
    plain('CI_RUNNER_EXECUTABLE_ARCH', `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`),
    plain('CI_SHARED_ENVIRONMENT', 'true'),
    plain('FF_USE_EXPONENTIAL_BACKOFF_STAGE_RETRY', 'true'),
    ...(image === undefined || image === '' ? [] : [plain('CI_JOB_IMAGE', image)]),
    ...runner.environment,
  ];
}
