/** umoci(1): the layers of an image as one tree. */
import { runConfined, type ConfinedRun } from './confined.ts';

export interface ImageUnpack {
  /** An OCI layout. */
  readonly layout: string;
  readonly tag: string;
  /** An empty directory. */
  readonly tree: string;
}

export function unpackArguments({ layout, tag, tree }: ImageUnpack): string[] {
  return ['raw', 'unpack', `--image=${layout}:${tag}`, tree];
}

/**
 * Unpacks with owners, modes, extended attributes and whiteouts applied.
 * @throws CommandError with umoci's complaint, Stopped when `how.signal` ended it.
 */
export async function unpackImage(what: ImageUnpack, how: ConfinedRun): Promise<void> {
  await runConfined('umoci', unpackArguments(what), how);
}
