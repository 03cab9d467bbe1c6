/** Whether a chroot is up to date, and what brings it there; pure. */

export interface UpdateFacts {
  /** The current version, undefined where there is none. */
  readonly current:
    | {
        readonly version: string;
        /** Undefined for a version that does not say what it was made of. */
        readonly digest: string | undefined;
        readonly isImport: boolean;
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
  /** Whether that is packages; of an image or an archive it says nothing of newer packages. */
  readonly isUpstreamPackages: boolean;
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
  if (current.digest === undefined && current.isImport) {
    // Whoever brought it wants it, and what is done to it by hand, more than a new tree.
    return { action: 'none', reason: 'it was imported; --rebuild makes it from its recipe' };
  }
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
  return facts.isUpstreamPackages
    ? afterPackages(facts, current.upstream)
    : afterImage(facts, current.upstream);
}

/** A distribution's mirror that is as it was has no newer packages. */
function afterPackages(facts: UpdateFacts, before: string | undefined): UpdateDecision {
  if (facts.upstream !== undefined && facts.upstream === before) return UNCHANGED;
  if (facts.hasPackages) return { action: 'look', reason: 'upstream has changed' };
  return facts.upstream === undefined
    ? UNTOLD
    : { action: facts.update, reason: 'upstream has changed' };
}

/** A new image replaces all of the old; in the same one, only a refresh finds newer packages. */
function afterImage(facts: UpdateFacts, before: string | undefined): UpdateDecision {
  // An export does not bring along what its host saw.
  const isKnown = before !== undefined || facts.current?.isImport !== true;
  if (isKnown && facts.upstream !== undefined && facts.upstream !== before) {
    return { action: 'rebuild', reason: 'its source has changed' };
  }
  if (facts.update === 'refresh' && facts.hasPackages) {
    return { action: 'look', reason: 'packages have a source of their own' };
  }
  return facts.upstream === undefined ? UNTOLD : UNCHANGED;
}

/** What upstream offers later is compared with this, once the current version has been refreshed. */
export function upstreamOfRefresh({
  current,
  upstream,
  isUpstreamPackages,
}: Pick<UpdateFacts, 'current' | 'upstream' | 'isUpstreamPackages'>): string | undefined {
  if (isUpstreamPackages) return upstream;
  // The image stays the one that it was; that of an import is known from now on.
  return current?.upstream ?? (current?.isImport === true ? upstream : undefined);
}

const UNCHANGED: UpdateDecision = { action: 'none', reason: 'nothing has changed upstream' };
const UNTOLD: UpdateDecision = {
  action: 'none',
  reason: 'its source cannot say whether it has changed',
};
