/** The job's directory on the host, as GitLab Runner makes and names it. */
import { randomInt } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT_CODE_FILE, RESPONSE_FILE } from './driver-environment.ts';

const ATTEMPTS = 100;
const MAX_SUFFIX = 2 ** 31;

/** Makes `custom-executorNNN` of mode 0700 with the job response of mode 0600 in it. */
export async function makeTempDir(root: string, responseText: string): Promise<string> {
  const directory = await makeDirectory(root, 'custom-executor');
  await writeFile(join(directory, RESPONSE_FILE), responseText, { mode: 0o600, flag: 'wx' });
  return directory;
}

/** Writes a script to a directory of its own and returns the file's path. */
export async function writeScript(tempDir: string, text: string): Promise<string> {
  const file = join(await makeDirectory(tempDir, 'script'), 'script');
  await writeFile(file, text, { mode: 0o700, flag: 'wx' });
  return file;
}

/** What BUILD_EXIT_CODE_FILE holds; undefined if it is not there. */
export async function readExitCodeFile(tempDir: string): Promise<string | undefined> {
  try {
    return await readFile(join(tempDir, EXIT_CODE_FILE), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    // A file that cannot be read is to the Runner what one without a number is.
    return '';
  }
}

export async function removeTempDir(tempDir: string): Promise<void> {
  await rm(tempDir, { recursive: true, force: true });
}

async function makeDirectory(parent: string, prefix: string): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    const directory = join(parent, `${prefix}${randomInt(MAX_SUFFIX)}`);
    try {
      await mkdir(directory, { mode: 0o700 });
      return directory;
    } catch (error) {
      const isTaken = (error as NodeJS.ErrnoException).code === 'EEXIST';
      if (!isTaken || attempt === ATTEMPTS) throw error;
    }
  }
}
