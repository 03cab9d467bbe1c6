/** Every fixed path of the host that we read. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export const SETTINGS_FILE = '/etc/nspawn-runner/settings.yaml';
export const STATE_DIR = '/var/lib/nspawn-runner';
/** Where the Python tool of the same name looked for playbooks, besides its state directory. */
export const PLAYBOOK_DIR = '/etc/nspawn-runner';
export const OPERATOR_RECIPE_DIR = '/etc/nspawn-runner/recipes';

/**
 * Where the recipes that come with the program are: `PREFIX/share` of an installed program, which
 * is in `PREFIX/lib/nspawn-runner`, or the checkout's own.
 */
export function shippedRecipeDir(): string {
  const installed = join(import.meta.dirname, '../../share/nspawn-runner/recipes');
  const checkout = join(import.meta.dirname, '../rootfs-recipes');
  return existsSync(checkout) ? checkout : installed;
}
