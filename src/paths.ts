/** Every fixed path of the host that we read. */
export const DEFAULT_SETTINGS_FILE = '/etc/nspawn-runner/settings.yaml';
export const DEFAULT_STATE_DIR = '/var/lib/nspawn-runner';
export const OPERATOR_RECIPE_DIR = '/etc/nspawn-runner/recipes';
