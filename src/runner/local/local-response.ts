/** A local job as the response that GitLab would give to a runner. */
import type { JobResponse, JobStep } from '../job.ts';
import type { LocalJob } from './local-job.ts';
import { expandText, nestVariables, type CiVariable } from './local-variables.ts';
import { predefinedVariables, type Repository } from './repository.ts';

export interface LocalResponseParts {
  readonly id: bigint;
  readonly job: LocalJob;
  readonly repository: Repository;
  readonly ciFile: string;
  /** Of the command line; over all others. */
  readonly variables: readonly CiVariable[];
}

/** GitLab's default for a project. */
const DEFAULT_TIMEOUT_SEC = 3600;
/** No GitLab instance has this name: names and caches of its jobs are never ours. */
const ORIGIN = 'https://local';

export function localResponse(parts: LocalResponseParts): JobResponse {
  const { id, job, repository, ciFile } = parts;
  const facts = { id: String(id), name: job.name, stage: job.stage, ciFile };
  const variables = nestVariables([
    ...predefinedVariables(repository, facts),
    ...job.variables,
    ...parts.variables,
  ]);
  const image = job.image === undefined ? '' : expandText(job.image, variables);
  return {
    id,
    token: 'local',
    allow_git_fetch: false,
    job_info: {
      name: job.name,
      stage: job.stage,
      project_id: repository.projectId,
      project_name: repository.projectPath.split('/').at(-1) ?? '',
      project_full_path: repository.projectPath,
    },
    git_info: gitInfoOf(repository),
    runner_info: { timeout: job.timeoutSec ?? DEFAULT_TIMEOUT_SEC },
    variables,
    steps: stepsOf(job),
    image: image === '' ? null : { name: image },
    services: [],
    artifacts: job.artifacts === undefined ? [] : [job.artifacts],
    cache: job.caches,
    credentials: [],
    dependencies: [],
    features: { trace_sections: false, failure_reasons: [] },
  };
}

function gitInfoOf({ projectPath, ref, sha, isTag }: Repository): JobResponse['git_info'] {
  const repo_url = `${ORIGIN}/${projectPath}.git`;
  const ref_type = isTag ? 'tag' : 'branch';
  return { repo_url, ref, sha, before_sha: '', ref_type, refspecs: [], depth: 0 };
}

function stepsOf({ script, afterScript }: LocalJob): readonly JobStep[] {
  const step = { timeout: DEFAULT_TIMEOUT_SEC, when: 'on_success', allow_failure: false };
  const after = { ...step, name: 'after_script', when: 'always', allow_failure: true };
  return [
    { ...step, name: 'script', script },
    ...(afterScript.length === 0 ? [] : [{ ...after, script: afterScript }]),
  ];
}
