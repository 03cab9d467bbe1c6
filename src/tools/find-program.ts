/** Where a program is, found without starting one. */
import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { toolEnvironment } from './exec.ts';

/** The absolute path of the first of these programs that a child of ours would find. */
export async function findProgram(...names: readonly string[]): Promise<string | undefined> {
  const directories = toolEnvironment()['PATH']?.split(':') ?? [];
  for (const name of names) {
    for (const directory of directories) {
      const path = join(directory, name);
      if (await isExecutable(path)) return path;
    }
  }
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
