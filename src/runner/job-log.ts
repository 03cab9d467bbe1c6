/** The Runner's own lines in a job log. */
import type { Ending } from './script-stages.ts';

const ESCAPE = '\u001b';
const RESET = `${ESCAPE}[0;m`;
const CYAN = `${ESCAPE}[36;1m`;
const RED = `${ESCAPE}[31;1m`;
const GREEN = `${ESCAPE}[32;1m`;

const TITLES: Readonly<Record<string, string>> = {
  prepare_script: 'Preparing environment',
  get_sources: 'Getting source from Git repository',
  clear_worktree: 'Deleting all tracked and untracked files due to source fetch failure',
  restore_cache: 'Restoring cache',
  download_artifacts: 'Downloading artifacts',
  build_script: 'Executing "step_script" stage of the job script',
  after_script: 'Running after_script',
  archive_cache: 'Saving cache for successful job',
  archive_cache_on_failure: 'Saving cache for failed job',
  upload_artifacts_on_success: 'Uploading artifacts for successful job',
  upload_artifacts_on_failure: 'Uploading artifacts for failed job',
  cleanup_file_variables: 'Cleaning up project directory and file based variables',
};

export const PREPARE_TITLE = colored('Preparing the "custom" executor', CYAN);

export function stageTitle(stage: string): string {
  return colored(TITLES[stage] ?? `Executing "${stage}" stage of the job script`, CYAN);
}

/** The last line of the log. */
export function lastLine(ending: Ending, timeoutSec: number): string {
  if (ending.cause === 'canceled') return failed('Job failed: canceled');
  if (ending.cause === 'interrupted') return failed('Job failed: aborted: terminated');
  if (ending.cause === 'timeout') {
    return failed(`Job failed: execution took longer than ${timeoutSec} seconds`);
  }
  if (ending.failure === undefined) return colored('Job succeeded', GREEN);
  const system = ending.failure.kind === 'system-failure' ? ' (system failure)' : '';
  return failed(`Job failed${system}: ${ending.failure.message}`);
}

function failed(text: string): string {
  return colored(`ERROR: ${text}`, RED);
}

function colored(text: string, color: string): string {
  return `${color}${text}${RESET}`;
}
