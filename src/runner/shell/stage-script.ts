/** The script of each stage, in the frame that GitLab Runner's scripts have. */
import { afterScript, stageOfStep, userSteps } from '../job.ts';
import type { ScriptContext } from './context.ts';
import { exportVariables, frame, readStepEnvironment } from './frame.ts';
import { printCommand, quote } from './quote.ts';
import { cleanupFileVariables, clearWorktree, getSources } from './sources.ts';
import { archiveCache, downloadArtifacts, restoreCache, uploadArtifacts } from './transfer.ts';

/** Other commands for a stage, within the same frame; undefined leaves it as it is. */
export type ReplaceCommands = (
  stage: string,
  context: ScriptContext,
) => readonly string[] | undefined;

/** The text of the file that the driver is given for this stage. */
export function stageScript(
  stage: string,
  context: ScriptContext,
  replace: ReplaceCommands = () => undefined,
): string {
  const commands = replace(stage, context) ?? stageCommands(stage, context);
  const preamble =
    stage === 'prepare_script'
      ? []
      : exportVariables(context.variables.values(), context.temporary);
  return frame(context.shell, [...preamble, ...commands]);
}

function stageCommands(stage: string, context: ScriptContext): readonly string[] {
  switch (stage) {
    case 'prepare_script':
      return [runningOn(context)];
    case 'get_sources':
      return getSources(context);
    case 'clear_worktree':
      return clearWorktree(context);
    case 'restore_cache':
      return restoreCache(context);
    case 'download_artifacts':
      return downloadArtifacts(context);
    case 'archive_cache':
    case 'archive_cache_on_failure':
      return archiveCache(context, stage === 'archive_cache');
    case 'upload_artifacts_on_success':
    case 'upload_artifacts_on_failure':
      return uploadArtifacts(context, stage === 'upload_artifacts_on_success');
    case 'cleanup_file_variables':
      return cleanupFileVariables(context);
    default:
      return userCommands(context, commandsOf(stage, context));
  }
}

function runningOn({ hostname }: ScriptContext): string {
  const via = hostname === undefined || hostname === '' ? '' : ` via ${hostname}`;
  return `printf 'Running on %s%s...\\n' "$(hostname)" ${quote(via)}`;
}

function commandsOf(stage: string, { response }: ScriptContext): readonly string[] {
  if (stage === 'after_script') return afterScript(response)?.script ?? [];
  return userSteps(response).find((step) => stageOfStep(step) === stage)?.script ?? [];
}

function userCommands(context: ScriptContext, commands: readonly string[]): readonly string[] {
  const isTraced = context.variables.get('CI_DEBUG_TRACE')?.value === 'true';
  return [
    ...readStepEnvironment(context.temporary),
    `cd ${quote(context.directories.project)}`,
    ...(isTraced ? ['set -o xtrace'] : []),
    ...commands.flatMap((command) => [printCommand(command), command]),
  ];
}
