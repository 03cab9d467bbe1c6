/** Which version of a program is here. */
import { CommandError, HostError } from '../errors.ts';
import { run } from './exec.ts';

/** The first line of `--version`; undefined when the program is not here or does not work. */
export async function toolVersion(tool: string): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await run(tool, ['--version'], { timeoutSec: 10 });
    return (stdout === '' ? stderr : stdout).split('\n')[0];
  } catch (error) {
    if (error instanceof HostError || error instanceof CommandError) return undefined;
    throw error;
  }
}

/** The whole number that systemd's programs give as their version, `systemd 257 (257.9-1)`. */
export function systemdVersion(line: string): number | undefined {
  const number = /^systemd (\d+)\b/.exec(line)?.[1];
  return number === undefined ? undefined : Number(number);
}
