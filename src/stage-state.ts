/** Where the state is, for the stages that run often: settings are read only where job_env is silent. */
import { handedOnStateDir } from './gitlab/job-env.ts';

export interface StageState {
  readonly stateDir: string;
  readonly trustJobIdVariable: boolean;
}

/** @throws SettingsError where the settings have to be read and are not good. */
export async function stageState(settingsPath: string | undefined): Promise<StageState> {
  const stateDir = handedOnStateDir();
  // A job without a trusted id is rare, and its settings say whether that is allowed.
  if (stateDir !== undefined && (process.env['JOB_RESPONSE_FILE'] ?? '') !== '') {
    return { stateDir, trustJobIdVariable: false };
  }
  const { loadSettings } = await import('./settings.ts');
  return loadSettings(settingsPath);
}
