/**
 * What every process of a job has in its environment, in the machine and on the host, so that one
 * that is found says whose it is.
 */

/** Value: GitLab's own numbers of the job, as beaker-cleanup-driver made it. */
export const TAG = '_CI_JOB_TAG';
/** Value: the job's machine. */
export const MACHINE_MARK = '_CI_JOB_MACHINE';

/** GitLab Runner gives it to every stage, and nothing that a stage starts has it. */
export const STAGE_MARK = 'BUILD_FAILURE_EXIT_CODE';

export interface JobMarks {
  readonly machine: string;
  readonly tag: string;
}

export function markedEnvironment({ machine, tag }: JobMarks): Readonly<Record<string, string>> {
  return { [TAG]: tag, [MACHINE_MARK]: machine };
}
