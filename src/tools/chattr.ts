/** chattr(1): what root itself cannot remove, because a build or a job made it immutable. */
import { CommandError, HostError } from '../errors.ts';
import { run } from './exec.ts';

const FLAGS = ['-f', '-i', '-a'];

/**
 * Makes a directory with all that is in it removable again, as far as that can be done: links are
 * not followed. chattr(1) passes over what is deeper than a path can be long; find(1) goes there
 * step by step, and enters no other file system. Nothing may be mounted there.
 */
export async function makeRemovable(path: string): Promise<void> {
  const files = ['(', '-type', 'f', '-o', '-type', 'd', ')'];
  await attempt('chattr', ['-R', ...FLAGS, '--', path]);
  await attempt('find', [
    ...['-P', path, '-xdev', ...files],
    ...['-execdir', 'chattr', ...FLAGS, '--', '{}', '+'],
  ]);
}

/** What it cannot do is told by the removal that follows. */
async function attempt(tool: string, args: readonly string[]): Promise<void> {
  try {
    await run(tool, args, { timeoutSec: 0 });
  } catch (error) {
    if (!(error instanceof CommandError || error instanceof HostError)) throw error;
  }
}
