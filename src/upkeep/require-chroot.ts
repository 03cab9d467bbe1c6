/** A chroot that a person names. */
import { findChroot, listChroots, type Chroot } from '../chroot/store.ts';
import { UsageError } from '../errors.ts';
import { nearest } from '../file-problems.ts';
import type { Settings } from '../settings.ts';

/** @throws UsageError with what there is, when it is not there. */
export async function requireChroot(
  name: string,
  { stateDir }: Pick<Settings, 'stateDir'>,
): Promise<Chroot> {
  const chroot = await findChroot(stateDir, name);
  if (chroot !== undefined) return chroot;
  const names = (await listChroots(stateDir)).map((one) => one.name);
  const near = nearest(name, names);
  throw new UsageError(`There is no chroot "${name}".`, {
    details: [`Chroots: ${names.join(', ') || 'none'}.`],
    hint:
      near === undefined
        ? `Make it with: nspawn-runner chroot create ${name}`
        : `Did you mean "${near}"?`,
  });
}
