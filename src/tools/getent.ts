/** getent(1): accounts, wherever this host keeps them. */
import { run } from './exec.ts';

export interface Account {
  readonly name: string;
  readonly uid: number;
  /** Absolute. */
  readonly home: string;
}

/** getent(1): "one or more supplied key could not be found in the database". */
const NOT_FOUND = 2;

/** By name or number; undefined when the host has no such user. */
export async function findAccount(user: string): Promise<Account | undefined> {
  const { status, stdout } = await run('getent', ['--', 'passwd', user], {
    okStatuses: [0, NOT_FOUND],
    timeoutSec: 10,
  });
  return status === 0 ? parsePasswd(stdout)[0] : undefined;
}

/** Parses lines of passwd(5); what is no such line is left out. */
export function parsePasswd(text: string): Account[] {
  return text.split('\n').flatMap((line) => {
    const [name, , uid, , , home] = line.split(':');
    if (name === undefined || home?.startsWith('/') !== true) return [];
    return /^\d+$/.test(uid ?? '') ? [{ name, uid: Number(uid), home }] : [];
  });
}

/** Undefined when no user has this number. */
export async function findUserName(uid: number): Promise<string | undefined> {
  return (await findAccount(String(uid)))?.name;
}
