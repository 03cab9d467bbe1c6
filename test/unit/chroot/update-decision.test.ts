import { describe, expect, it } from 'vitest';
import {
  decideUpdate,
  upstreamOfRefresh,
  type UpdateDecision,
  type UpdateFacts,
} from '../../../src/chroot/update-decision.ts';

const UNCHANGED = 'nothing has changed upstream';
const UPSTREAM = 'upstream has changed';
const UNTOLD = 'its source cannot say whether it has changed';
const CURRENT = {
  version: 'v1',
  digest: 'd',
  isImport: false,
  parentVersion: undefined,
  upstream: 'u',
};
const DEBIAN: UpdateFacts = {
  current: CURRENT,
  digest: 'd',
  parent: undefined,
  upstream: 'u',
  isUpstreamPackages: true,
  hasPackages: true,
  update: 'rebuild',
  force: undefined,
};
const IMAGE: UpdateFacts = { ...DEBIAN, isUpstreamPackages: false };
const CHILD: UpdateFacts = {
  ...DEBIAN,
  current: { ...CURRENT, parentVersion: 'p1' },
  parent: { name: 'debian-12', version: 'p1' },
};
const without = (facts: UpdateFacts): UpdateFacts => ({
  ...facts,
  current: { ...CURRENT, upstream: undefined },
});

describe('what brings a chroot up to date', () => {
  it.each<[string, UpdateFacts, UpdateDecision['action'], string]>([
    ['there is none', { ...DEBIAN, current: undefined }, 'rebuild', 'there is none yet'],
    [
      'there is none, and a refresh is asked for',
      { ...DEBIAN, current: undefined, force: 'refresh' },
      'rebuild',
      'there is none yet',
    ],
    [
      'it was imported, and has a recipe here',
      { ...DEBIAN, current: { ...CURRENT, digest: undefined, isImport: true } },
      'none',
      'it was imported; --rebuild makes it from its recipe',
    ],
    ['a rebuild is asked for', { ...DEBIAN, force: 'rebuild' }, 'rebuild', 'asked for'],
    [
      'a refresh is asked for, whatever has changed',
      { ...CHILD, force: 'refresh', digest: 'e', parent: { name: 'x', version: 'p2' } },
      'refresh',
      'asked for',
    ],
    [
      'it does not say what it was made of',
      { ...DEBIAN, current: { ...CURRENT, digest: undefined } },
      'rebuild',
      'its version does not say what it was made of',
    ],
    ['its recipe changed', { ...DEBIAN, digest: 'e' }, 'rebuild', 'the recipe has changed'],
    [
      'its recipe changed, and it is one that is refreshed',
      { ...DEBIAN, digest: 'e', update: 'refresh' },
      'rebuild',
      'the recipe has changed',
    ],
    [
      'its parent has a new version',
      { ...CHILD, parent: { name: 'debian-12', version: 'p2' }, update: 'refresh' },
      'rebuild',
      'chroot "debian-12" has a new version',
    ],
    [
      'it extends something only now',
      { ...CHILD, current: CURRENT },
      'rebuild',
      'chroot "debian-12" has a new version',
    ],
    ['nothing changed', DEBIAN, 'none', UNCHANGED],
    ['nothing changed above it', CHILD, 'none', UNCHANGED],
    ['its parent is not there', { ...CHILD, parent: undefined }, 'none', UNCHANGED],
    ['the mirror changed', { ...DEBIAN, upstream: 'v' }, 'look', UPSTREAM],
    ['the mirror is not reached', { ...DEBIAN, upstream: undefined }, 'look', UPSTREAM],
    ['the mirror was not reached then', without(DEBIAN), 'look', UPSTREAM],
    [
      'the mirror changed, and nobody in the tree can tell what that means',
      { ...DEBIAN, upstream: 'v', hasPackages: false },
      'rebuild',
      UPSTREAM,
    ],
    [
      'neither mirror nor tree can tell',
      { ...DEBIAN, upstream: undefined, hasPackages: false },
      'none',
      UNTOLD,
    ],
    ['the image is the same', IMAGE, 'none', UNCHANGED],
    ['the image changed', { ...IMAGE, upstream: 'v' }, 'rebuild', 'its source has changed'],
    [
      'the image changed, and its packages are refreshed',
      { ...IMAGE, upstream: 'v', update: 'refresh' },
      'rebuild',
      'its source has changed',
    ],
    ['what the image was is not known', without(IMAGE), 'rebuild', 'its source has changed'],
    [
      'what the image was is not known, because the chroot comes from another host',
      { ...IMAGE, current: { ...CURRENT, isImport: true, upstream: undefined } },
      'none',
      UNCHANGED,
    ],
    [
      'the image is the same, and its packages are refreshed',
      { ...IMAGE, update: 'refresh' },
      'look',
      'packages have a source of their own',
    ],
    [
      'the registry is not reached, and packages are refreshed',
      { ...IMAGE, upstream: undefined, update: 'refresh' },
      'look',
      'packages have a source of their own',
    ],
    [
      'the registry is not reached, and packages come with the image',
      { ...IMAGE, upstream: undefined },
      'none',
      UNTOLD,
    ],
    [
      'the image is the same, and has no package manager',
      { ...IMAGE, update: 'refresh', hasPackages: false },
      'none',
      UNCHANGED,
    ],
  ])('%s', (_, facts, action, reason) => {
    expect(decideUpdate(facts)).toEqual({ action, reason });
  });
});

describe('what upstream offered to a version that is refreshed', () => {
  const imported = { ...CURRENT, isImport: true, upstream: undefined };
  it.each<[string, UpdateFacts, string | undefined]>([
    ['is what its packages come from now', { ...DEBIAN, upstream: 'v' }, 'v'],
    ['is not known where the mirror is not reached', { ...DEBIAN, upstream: undefined }, undefined],
    ['is the image that it was made of', { ...IMAGE, upstream: 'v' }, 'u'],
    ['is not known where that was not', { ...without(IMAGE), upstream: 'v' }, undefined],
    ['is the image of now for an import', { ...IMAGE, current: imported, upstream: 'v' }, 'v'],
    [
      'is the image that was seen for an import before',
      { ...IMAGE, current: { ...imported, upstream: 'u' }, upstream: 'v' },
      'u',
    ],
  ])('%s', (_, facts, upstream) => {
    expect(upstreamOfRefresh(facts)).toBe(upstream);
  });

  it('leaves the next update of an import nothing to do', () => {
    const facts: UpdateFacts = { ...IMAGE, current: imported };
    const current = { ...imported, isImport: false, upstream: upstreamOfRefresh(facts) };
    expect(decideUpdate({ ...facts, current })).toEqual({ action: 'none', reason: UNCHANGED });
  });
});

describe('of all facts together', () => {
  const booleans = [true, false];
  const all: UpdateFacts[] = (['d', 'e'] as const).flatMap((digest) =>
    [undefined, 'u', 'v'].flatMap((upstream) =>
      [undefined, 'u'].flatMap((before) =>
        (['rebuild', 'refresh'] as const).flatMap((update) =>
          booleans.flatMap((isUpstreamPackages) =>
            booleans.map((hasPackages) => ({
              ...{ digest, upstream, update, isUpstreamPackages, hasPackages },
              ...{ parent: undefined, force: undefined },
              current: { ...CURRENT, upstream: before },
            })),
          ),
        ),
      ),
    ),
  );

  it('a look is for trees with a package manager, a refresh only for recipes that say so', () => {
    for (const facts of all) {
      const { action } = decideUpdate(facts);
      if (action === 'look') expect(facts).toMatchObject({ hasPackages: true, digest: 'd' });
      if (action === 'refresh') expect(facts).toMatchObject({ update: 'refresh', digest: 'd' });
      if (facts.digest === 'e') expect(action).toBe('rebuild');
    }
  });

  it('nothing to do stays so when asked again', () => {
    for (const facts of all.filter((one) => decideUpdate(one).action === 'none')) {
      const current = { ...CURRENT, upstream: facts.upstream ?? facts.current?.upstream };
      expect(decideUpdate({ ...facts, current }).action).toBe('none');
    }
  });
});
