/** Whether a chroot is up to date, and what brings it there; pure. */

export interface UpdateFacts {
  /** The current version, undefined where there is none. */
  readonly current:
    | {
        readonly version: string;
        /** Undefined for a version that does not say what it was made of. */
        readonly digest: string | undefined;
        readonly parentVersion: string | undefined;
        /** What upstream offered then. */
        readonly upstream: string | undefined;
      }
    | undefined;
  /** Of the recipe as it is now. */
  readonly digest: string;
  /** The current version of the chroot that the recipe extends. */
  readonly parent: { readonly name: string; readonly version: string } | undefined;
  /** What upstream offers now; undefined where that cannot be told. */
  readonly upstream: string | undefined;
  /** False for trees whose packages nobody here can upgrade. */
  readonly hasPackages: boolean;
  readonly update: 'rebuild' | 'refresh';
  /** A person wants it, whatever the rest says. */
  readonly force: 'rebuild' | 'refresh' | undefined;
}

export interface UpdateDecision {
  /** `look` asks the tree's package manager whether there is anything to do, then does `update`. */
  readonly action: 'none' | 'rebuild' | 'refresh' | 'look';
  /** The end of a sentence: `rebuilt: the recipe has changed`. */
  readonly reason: string;
}

export function decideUpdate(facts: UpdateFacts): UpdateDecision {
  const { current, parent, force } = facts;
  if (current === undefined) return { action: 'rebuild', reason: 'there is none yet' };
  if (force !== undefined) return { action: force, reason: 'asked for' };
  if (current.digest === undefined) {
    return { action: 'rebuild', reason: 'its version does not say what it was made of' };
  }
  if (current.digest !== facts.digest) {
    return { action: 'rebuild', reason: 'the recipe has changed' };
  }
  if (parent !== undefined && parent.version !== current.parentVersion) {
    const reason = `chroot "${parent.name}" has a new version`;
    return { action: 'rebuild', reason };
  }
  if (facts.upstream !== undefined && facts.upstream === current.upstream) {
    return { action: 'none', reason: 'nothing has changed upstream' };
  }
  if (facts.hasPackages) return { action: 'look', reason: 'upstream has changed' };
  return facts.upstream === undefined
    ? { action: 'none', reason: 'its source cannot say whether it has changed' }
    : { action: facts.update, reason: 'upstream has changed' };
}
