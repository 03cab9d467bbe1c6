/** The user that scripts run as, looked up in the chroot: its numbers own the builds directory. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError } from '../errors.ts';

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** passwd(5). Undefined for a name that is not there. */
export function findAccount(passwd: string, user: string): Account | undefined {
  for (const line of passwd.split('\n')) {
    const [name, , uid, gid] = line.split(':');
    if (name === user && /^\d+$/.test(uid ?? '') && /^\d+$/.test(gid ?? '')) {
      return { uid: Number(uid), gid: Number(gid) };
    }
  }
  return undefined;
}

/** @throws HostError when the chroot has no such user. */
export async function lookUpAccount(chroot: string, user: string): Promise<Account> {
  if (user === 'root') return { uid: 0, gid: 0 };
  const passwd = await readFile(join(chroot, 'etc/passwd'), 'utf8').catch(() => '');
  const account = findAccount(passwd, user);
  if (account !== undefined) return account;
  throw new HostError(`User "${user}" does not exist in the chroot.`, {
    details: [`Looked for it in ${join(chroot, 'etc/passwd')}.`],
    hint: 'Create the user in the recipe, or change `user` in the settings.',
  });
}
