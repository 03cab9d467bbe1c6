/** Which scripts of a job follow which; pure, from the job and from what happened so far. */
import { afterScript, type JobArtifacts, type JobCache, type JobResponse } from './job.ts';
import type { ResolvedVariable } from './variables.ts';

/** How the job stands when its script is over, or was never reached. */
export type Course = 'succeeded' | 'failed' | 'stopped';

export type Variables = ReadonlyMap<string, ResolvedVariable>;

const MAX_ATTEMPTS = 10;
const ATTEMPTS_VARIABLE: Readonly<Record<string, string>> = {
  get_sources: 'GET_SOURCES_ATTEMPTS',
  restore_cache: 'RESTORE_CACHE_ATTEMPTS',
  download_artifacts: 'ARTIFACT_DOWNLOAD_ATTEMPTS',
};

/** Between prepare_script and the user's script; the first that fails keeps the rest from running. */
export function fetchingStages(response: JobResponse): readonly string[] {
  const stages = ['get_sources'];
  if ((response.cache ?? []).some(isRestored)) stages.push('restore_cache');
  if ((response.dependencies ?? []).some((d) => (d.artifacts_file?.filename ?? '') !== '')) {
    stages.push('download_artifacts');
  }
  return stages;
}

/**
 * After the user's script.
 * @param course `stopped` is an abort or the job's timeout: nothing more runs but cleanup.
 * @param reachedScript false when an earlier stage failed: no after_script then.
 */
export function endingStages(
  response: JobResponse,
  course: Course,
  reachedScript: boolean,
): readonly string[] {
  if (course === 'stopped') return [];
  const isSuccess = course === 'succeeded';
  const stages: string[] = [];
  if (reachedScript && afterScript(response) !== undefined) stages.push('after_script');
  if (archivedCaches(response, isSuccess).length > 0) {
    stages.push(isSuccess ? 'archive_cache' : 'archive_cache_on_failure');
  }
  if (uploadedArtifacts(response, isSuccess).length > 0) {
    stages.push(isSuccess ? 'upload_artifacts_on_success' : 'upload_artifacts_on_failure');
  }
  return [...stages, 'cleanup_file_variables'];
}

export function restoredCaches(response: JobResponse): readonly JobCache[] {
  return (response.cache ?? []).filter(isRestored);
}

export function archivedCaches(response: JobResponse, isSuccess: boolean): readonly JobCache[] {
  return (response.cache ?? []).filter(
    (cache) => hasFiles(cache) && cache.policy !== 'pull' && fits(cache.when, isSuccess),
  );
}

export function uploadedArtifacts(
  response: JobResponse,
  isSuccess: boolean,
): readonly JobArtifacts[] {
  return (response.artifacts ?? []).filter((a) => hasFiles(a) && fits(a.when, isSuccess));
}

/** How often a stage is tried before its failure is the job's: 1 to 10. */
export function stageAttempts(stage: string, variables: Variables): number {
  const name = ATTEMPTS_VARIABLE[stage];
  const text = name === undefined ? undefined : variables.get(name)?.content;
  if (text === undefined || !/^-?\d+$/.test(text)) return 1;
  return Math.min(MAX_ATTEMPTS, Math.max(1, Number(text)));
}

/** Whether a failing after_script leaves the job's result alone; GitLab's default. */
export function ignoresAfterScriptFailure(variables: Variables): boolean {
  const text = variables.get('AFTER_SCRIPT_IGNORE_ERRORS')?.content ?? '';
  return !/^(?:0|f|false)$/i.test(text);
}

function isRestored(cache: JobCache): boolean {
  return hasFiles(cache) && cache.policy !== 'push';
}

function hasFiles(item: JobCache | JobArtifacts): boolean {
  return item.untracked === true || (item.paths ?? []).length > 0;
}

function fits(when: string | undefined, isSuccess: boolean): boolean {
  if (when === undefined || when === '' || when === 'on_success') return isSuccess;
  return when === 'always' || !isSuccess;
}
