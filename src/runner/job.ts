/** The job as GitLab gives it to its runner: what is written to the job response file. */
import { randomUUID } from 'node:crypto';

export interface JobVariable {
  readonly key: string;
  readonly value: string;
  readonly public?: boolean;
  /** The variable is the path of a file that holds the value, and the file is in the machine. */
  readonly file?: boolean;
  readonly masked?: boolean;
  /** References to other variables stay as they are. */
  readonly raw?: boolean;
}

export interface JobStep {
  readonly name: string;
  readonly script: readonly string[];
  readonly timeout?: number;
  readonly when?: string;
  readonly allow_failure?: boolean;
}

/** `when` of artifacts and caches. */
export type When = 'on_success' | 'on_failure' | 'always';

export interface JobArtifacts {
  readonly name?: string;
  readonly untracked?: boolean;
  readonly paths?: readonly string[];
  readonly exclude?: readonly string[];
  readonly when?: When;
  readonly expire_in?: string;
  readonly artifact_type?: string;
  readonly artifact_format?: string;
}

export interface JobCache {
  readonly key?: string;
  readonly untracked?: boolean;
  readonly policy?: 'pull-push' | 'pull' | 'push';
  readonly paths?: readonly string[];
  readonly when?: When;
  readonly fallback_keys?: readonly string[];
}

export interface JobDependency {
  readonly id: number;
  readonly token: string;
  readonly name: string;
  readonly artifacts_file?: { readonly filename: string; readonly size?: number };
}

export interface JobImage {
  readonly name: string;
  readonly alias?: string;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly variables?: readonly JobVariable[];
}

export interface JobHook {
  readonly name: string;
  readonly script: readonly string[];
}

/** The fields that a runner reads; a job may have more, and they go to the file as they are. */
export interface JobResponse {
  /** A bigint or decimal text where a JavaScript number would round it. */
  readonly id: number | bigint;
  readonly token: string;
  readonly allow_git_fetch: boolean;
  readonly job_info: {
    readonly name: string;
    readonly stage: string;
    readonly project_id: number | bigint;
    readonly project_name: string;
    readonly project_full_path?: string;
  };
  readonly git_info: {
    readonly repo_url: string;
    readonly ref: string;
    readonly sha: string;
    readonly before_sha?: string;
    readonly ref_type?: string;
    readonly refspecs?: readonly string[];
    readonly depth?: number;
  };
  readonly runner_info: { readonly timeout: number };
  readonly variables: readonly JobVariable[];
  readonly steps: readonly JobStep[];
  readonly image?: JobImage | null;
  readonly services?: readonly JobImage[] | null;
  readonly artifacts?: readonly JobArtifacts[] | null;
  readonly cache?: readonly JobCache[] | null;
  readonly dependencies?: readonly JobDependency[] | null;
  readonly hooks?: readonly JobHook[] | null;
  readonly [other: string]: unknown;
}

/** The JSON text of the response file; bigint becomes a plain number of all its digits. */
export function encodeResponse(response: JobResponse): string {
  // By chance, so that no text of the job passes for it.
  const mark = randomUUID();
  const text = JSON.stringify(response, (_key, value: unknown) =>
    typeof value === 'bigint' ? `${mark}${value}` : value,
  );
  return text.replace(new RegExp(`"${mark}(-?\\d+)"`, 'g'), '$1');
}

/** The step that GitLab calls `script`; Runner calls its stage `build_script`. */
export function stageOfStep(step: JobStep): string {
  return step.name === 'script' ? 'build_script' : `step_${step.name}`;
}

export function userSteps(response: JobResponse): readonly JobStep[] {
  return response.steps.filter(({ name }) => name !== 'after_script');
}

/** Undefined for a job without one, or with an empty one. */
export function afterScript(response: JobResponse): JobStep | undefined {
  return response.steps.find(({ name, script }) => name === 'after_script' && script.length > 0);
}
