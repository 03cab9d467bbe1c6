/** What the reaper says of the things it finds: whose, what is done with them, why, and what proves it. */

export const KINDS = [
  'machine',
  'directory',
  'remains',
  'link',
  'lock',
  'claim',
  'process',
  'virtual-machine',
  'temp-dir',
  'trash',
  'chroot-build',
  'chroot-version',
  'unexplained',
] as const;

/** One file or one process is one thing of a kind; docs/reaper.md has the table. */
export type Kind = (typeof KINDS)[number];

export interface Verdict {
  readonly decision: 'remove' | 'keep';
  /** One clause. */
  readonly reason: string;
  /** The facts that it rests on, one clause each. */
  readonly proof: readonly string[];
}

export interface Thing {
  readonly kind: Kind;
  readonly name: string;
}

/** Things that share one verdict and one removal. */
export interface Case {
  readonly machine: string | undefined;
  readonly things: readonly Thing[];
  readonly verdict: Verdict;
  /**
   * Looks again, removes, and proves it.
   * @returns what changed since the verdict, if the things are kept after all.
   */
  readonly remove: (signal: AbortSignal) => Promise<string | undefined>;
}

export function keep(reason: string, ...proof: string[]): Verdict {
  return { decision: 'keep', reason, proof };
}

export function remove(reason: string, ...proof: string[]): Verdict {
  return { decision: 'remove', reason, proof };
}
