/** `nspawn-runner chroot remove`. */
import { UsageError } from '../errors.ts';
import { say } from '../log.ts';
import { requireRoot } from '../root.ts';
import { loadSettings } from '../settings.ts';
import { isChrootThere, removeChroot, removeOldVersion } from '../upkeep/remove-chroot.ts';
import { requireChroot } from '../upkeep/require-chroot.ts';

export interface ChrootRemoveArguments {
  readonly names: readonly string[];
  readonly settings?: string | undefined;
  /** Only this one, which is not the current one. */
  readonly old?: string | undefined;
}

export async function chrootRemove(args: ChrootRemoveArguments): Promise<number> {
  const settings = await loadSettings(args.settings);
  requireRoot('chroot remove');
  const { names, old: version } = args;
  const [only, ...others] = names;
  if (version !== undefined && (only === undefined || others.length > 0)) {
    throw new UsageError('--old: expected one chroot beside it.');
  }
  for (const name of names) {
    // What a failed build left has no current version and can go as well.
    if (!(await isChrootThere(settings.stateDir, name))) await requireChroot(name, settings);
  }
  for (const name of names) {
    if (version !== undefined) await removeOldVersion(settings.stateDir, name, version);
    else await removeChroot(settings.stateDir, name);
    say(version === undefined ? `${name}: removed` : `${name}: version ${version} is removed`);
  }
  return 0;
}
