/** touch(1): times to the nanosecond, which utimes of Node does not have. */
import { run } from './exec.ts';

/** Gives a file the times of another. */
export async function copyTimes(from: string, to: string): Promise<void> {
  await run('touch', ['--no-create', '--no-dereference', `--reference=${from}`, '--', to]);
}
