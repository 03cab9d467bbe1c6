/** Programs that only some sources want, so that `check` does not ask for them. */
import { HostError } from '../../errors.ts';
import { findProgram } from '../../tools/find-program.ts';

/**
 * @param packageName as Debian calls it.
 * @throws HostError when this host does not have it.
 */
export async function requireProgram(
  program: string,
  packageName: string,
  purpose: string,
): Promise<void> {
  if ((await findProgram(program)) !== undefined) return;
  throw new HostError(`"${program}", which ${purpose}, is not installed on this host.`, {
    hint: `Install package ${packageName}.`,
  });
}
