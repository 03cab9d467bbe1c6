/** The user that scripts run as, looked up in the chroot: its numbers own the builds directory. */
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError } from '../errors.ts';
import { readInTree, resolveInTree } from '../tools/tree-path.ts';

export interface Account {
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/** passwd(5). Undefined for a name that is not there. */
export function findAccount(passwd: string, user: string): Account | undefined {
  for (const line of passwd.split('\n')) {
    const [name, , uid, gid, , home = ''] = line.split(':');
    if (name === user && /^\d+$/.test(uid ?? '') && /^\d+$/.test(gid ?? '')) {
      return { uid: Number(uid), gid: Number(gid), home };
    }
  }
  return undefined;
}

/** @throws HostError when the chroot has no such user. */
export async function lookUpAccount(chroot: string, user: string): Promise<Account> {
  if (user === 'root') return { uid: 0, gid: 0, home: '/root' };
  const passwd = await readInTree(chroot, '/etc/passwd');
  const account = findAccount(passwd ?? '', user);
  if (account !== undefined) return account;
  throw new HostError(`User "${user}" does not exist in the chroot.`, {
    details: [
      passwd === undefined
        ? `${join(chroot, 'etc/passwd')} is no regular file of at most 1 MiB.`
        : `Looked for it in ${join(chroot, 'etc/passwd')}.`,
    ],
    hint: 'Create the user in the recipe, or change `user` in the settings.',
  });
}

/**
 * A home to make for a user who has none of his own in the chroot, as nobody and most system users:
 * git, pip, npm and ssh write there. Undefined where passwd(5) names a directory of his.
 */
export async function missingHome(
  chroot: string,
  user: string,
  { uid, home }: Account,
): Promise<string | undefined> {
  if (uid === 0) return undefined;
  const found = await resolveInTree(chroot, home)
    .then((place) => lstat(place))
    .catch(() => undefined);
  return found?.isDirectory() === true && found.uid === uid ? undefined : `/home/${user}`;
}
