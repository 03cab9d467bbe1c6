/** mount(8), in a mount namespace that ends with the command. */
import { CommandError, HostError } from '../errors.ts';
import { run } from './exec.ts';

export interface OverlayDirectories {
  readonly lower: string;
  readonly upper: string;
  readonly work: string;
  readonly merged: string;
}

export function overlayTrialArguments({
  lower,
  upper,
  work,
  merged,
}: OverlayDirectories): string[] {
  return [
    '--mount',
    '--propagation=private',
    '--',
    'mount',
    '--types=overlay',
    `--options=lowerdir=${lower},upperdir=${upper},workdir=${work}`,
    '--',
    'nspawn-runner',
    merged,
  ];
}

/** Mounts an overlay where nobody else sees it. Undefined when that works, else what mount said. */
export async function tryOverlay(directories: OverlayDirectories): Promise<string | undefined> {
  try {
    await run('unshare', overlayTrialArguments(directories), { timeoutSec: 10 });
    return undefined;
  } catch (error) {
    if (error instanceof CommandError) return error.command.stderrTail.trim().split('\n')[0];
    if (error instanceof HostError) return error.message;
    throw error;
  }
}
