/** The host's gitlab-runner, which a machine needs under that name for artifacts and caches. */
import { constants } from 'node:fs';
import { access, realpath } from 'node:fs/promises';
import { SettingsError } from '../errors.ts';

/** Where the packages and the documentation's manual installation put it. */
const PLACES = ['/usr/bin/gitlab-runner', '/usr/local/bin/gitlab-runner'];

/**
 * Undefined when there is none or the settings want none.
 * @throws SettingsError when the settings name a file that is not there.
 */
export async function findRunnerBinary(setting: string): Promise<string | undefined> {
  if (setting === 'none') return undefined;
  for (const place of setting === 'auto' ? PLACES : [setting]) {
    try {
      await access(place, constants.X_OK);
      return await realpath(place);
    } catch {
      // The next place, or none.
    }
  }
  if (setting === 'auto') return undefined;
  throw new SettingsError(`gitlab_runner: "${setting}" is not an executable file.`, {
    hint: 'Correct the path in the settings, or say `auto` or `none`.',
  });
}
