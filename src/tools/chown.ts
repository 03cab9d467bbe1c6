/** chown(1): gives a whole tree to another user. */
import { run } from './exec.ts';

/**
 * Follows no link. A directory comes after all that is in it: as long as the top has its old owner,
 * the work is not finished.
 * @throws Stopped when `signal` ended it.
 */
export async function giveTree(
  path: string,
  { uid, gid }: { readonly uid: number; readonly gid: number },
  signal: AbortSignal,
): Promise<void> {
  const args = ['--recursive', '-P', '--no-dereference', '--', `${uid}:${gid}`, path];
  await run('chown', args, { timeoutSec: 0, signal });
}
