/** sync(1). */
import { run } from './exec.ts';

/** Returns when everything on the file system of `path` is on the disk. */
export async function syncFileSystem(path: string): Promise<void> {
  await run('sync', ['--file-system', '--', path], { timeoutSec: 0 });
}
