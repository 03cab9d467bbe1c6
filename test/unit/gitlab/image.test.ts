import { describe, expect, it } from 'vitest';
import { Failure, JobError, SettingsError } from '../../../src/errors.ts';
import { chooseChroot, type ImageRequest } from '../../../src/gitlab/image.ts';
import { fuzz } from '../fuzz.ts';

const DIGEST = `@sha256:${'0a'.repeat(32)}`;

function request(parts: Partial<ImageRequest>): ImageRequest {
  return {
    image: undefined,
    defaultImage: undefined,
    allowedImages: undefined,
    images: {},
    chroots: ['bookworm', 'debian', 'debian-12', 'debian-13', 'debian-latest', 'unstable'],
    ...parts,
  };
}

function failureOf(parts: Partial<ImageRequest>): Failure {
  try {
    chooseChroot(request(parts));
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error('A chroot was chosen.');
}

describe('an image means', () => {
  const images = { 'debian:13': 'bookworm', 'debian-13': 'bookworm', 'company/ci:7': 'unstable' };
  it.each([
    ['its exact name', 'debian-12', 'debian-12'],
    ['its exact name before the map', 'debian-13', 'debian-13'],
    ['its exact name without a digest', `debian-12${DIGEST}`, 'debian-12'],
    ['what the map says, before name-tag', 'debian:13', 'bookworm'],
    ['what the map says, without a digest', `company/ci:7${DIGEST}`, 'unstable'],
    ['name-tag', 'debian:12', 'debian-12'],
    ['name-tag of a registry path', 'registry.example.com:5000/group/debian:12', 'debian-12'],
    ['name-tag without a digest', `debian:12${DIGEST}`, 'debian-12'],
    ['name-latest before the name', 'debian:latest', 'debian-latest'],
    ['the last part where there is no tag', 'docker.io/library/debian', 'debian'],
    ['the last part of host:port/name', 'localhost:5000/debian', 'debian'],
    ['the name where the tag is latest', 'bookworm:latest', 'bookworm'],
    ['the tag', 'debian:bookworm', 'bookworm'],
    ['the tag of a registry path', 'registry.example.com/team/base:unstable', 'unstable'],
  ])('%s: %s', (_, image, chroot) => {
    expect(chooseChroot(request({ image, images }))).toEqual({ chroot });
  });

  it('the default where the job names none, allowed or not', () => {
    const parts = { defaultImage: 'debian:12', allowedImages: ['bookworm'] };
    expect(chooseChroot(request(parts))).toEqual({ chroot: 'debian-12' });
  });
});

describe('an image is allowed', () => {
  it.each([
    ['debian-12', ['debian-*'], true],
    ['debian-12', ['bookworm', 'debian-1?'], true],
    ['debian-12', [], false],
    ['debian-12', ['debian'], false],
    ['debian-12', ['Debian-12'], false],
    ['debian-12', ['debian.12'], false],
    ['debian:12', ['debian-*'], false],
    ['debian-/unstable', ['debian-*'], false],
    ['registry.example.com/a/debian:12', ['registry.example.com/*'], false],
    ['registry.example.com/a/debian:12', ['registry.example.com/**'], true],
    ['evil.example/debian:12', ['debian:12'], false],
    [`debian:12${DIGEST}`, ['debian:12'], true],
    [`debian:12${DIGEST}`, ['*@sha256:*'], true],
    ['debian:12', ['*@sha256:*'], false],
  ])('%s by %j: %s', (image, allowedImages, isAllowed) => {
    const choose = (): unknown => chooseChroot(request({ image, allowedImages }));
    if (isAllowed) expect(choose()).toEqual({ chroot: 'debian-12' });
    else expect(choose).toThrow(` is not allowed on this runner.`);
  });
});

describe('an image that is allowed leads to a chroot that is allowed', () => {
  const chroots = ['debian', 'debian-12', 'debian-secret', 'secret', 'secret-12'];
  const images = { 'debian:13': 'secret', 'debian-13': 'secret' };
  it.each([
    ['its tag', 'debian-12:secret', ['debian-*'], undefined],
    ['its tag', 'debian-:secret', ['debian-*'], undefined],
    ['its tag', `debian-12:secret${DIGEST}`, ['debian-*'], undefined],
    ['its tag', 'debian:secret', ['debian:*'], 'debian-secret'],
    ['its tag', 'debian-12:secret', ['debian-12:*'], undefined],
    ['its tag', 'x/debian-12:secret', ['**debian-*', 'x/debian-12:*'], undefined],
    ['its tag, which is spelled out', 'base:secret', ['base:secret'], 'secret'],
    ['its tag, which is spelled out', 'x/base:secret', ['x/*:secret'], 'secret'],
    ['its tag, which is allowed as a name', 'base:debian-12', ['base:*', 'debian-*'], 'debian-12'],
    ['its tag, which is allowed as a name', 'base:secret', ['*'], 'secret'],
    ['its tag, which is allowed in the place of a name', 'x/base:secret', ['x/**'], 'secret'],
    ['name and tag', 'debian:12', ['debian:*'], 'debian-12'],
    ['name and tag', 'debian:12', ['debian*'], 'debian-12'],
    ['name and tag', 'x/debian:12', ['x/*-12', 'x/debian?1?'], 'debian-12'],
    ['name and tag, of two tags', 'debian:12:secret', ['debian:1*'], undefined],
    ['its name', 'secret:latest', ['*test'], undefined],
    ['its name', 'secret:', ['*?:', 'secret:*'], 'secret'],
    ['its name', 'secret:', ['secre??'], undefined],
    ['its name', 'debian:latest', ['debian:*'], 'debian'],
    ['its name', 'debian-12:latest', ['debian-*'], 'debian-12'],
    ['its name', 'x/secret:latest', ['x/*'], 'secret'],
    ['the map', 'debian:13', ['debian:*'], 'secret'],
    ['the map', 'debian-13', ['debian-*'], 'secret'],
    ['itself, and only its digest fits', 'secret@debian:0a', ['*debian*'], undefined],
    ['itself, and only its digest fits', 'secret@sha256:12', ['*12'], undefined],
    ['itself, and only its digest fits', 'secret@debian:0a', ['*debian*@*'], undefined],
    ['itself, and only a digest that is none', 'debian-12@x:secret', ['debian-*'], undefined],
  ])('by %s: %s under %j: %s', (_, image, allowedImages, chroot) => {
    const choose = (): unknown => chooseChroot(request({ image, allowedImages, images, chroots }));
    if (chroot !== undefined) expect(choose()).toEqual({ chroot });
    else expect(choose).toThrow(/ is not (?:allowed|available) on this runner\.$/);
  });

  it('whatever the image', () => {
    const { below, pick, text } = fuzz('allowed');
    const words = ['debian', 'debian-12', '12', 'secret', 'latest', '/', ':', '-', '@', DIGEST];
    const globs = ['debian-*', 'debian:*', 'debian:1*', '*debian*', '*12', '*test', 'debian?*'];
    for (let run = 0; run < 20_000; run += 1) {
      const pieces = Array.from({ length: 1 + below(6) }, () =>
        below(8) === 0 ? text(below(3), ':/@-a0') : pick(words),
      );
      const parts = {
        image: pieces.join(''),
        allowedImages: [pick(globs)],
        chroots: ['debian', 'debian-12', 'secret'],
      };
      try {
        expect(chooseChroot(request(parts)).chroot, JSON.stringify(parts)).not.toBe('secret');
      } catch (error) {
        if (!(error instanceof JobError)) throw error;
      }
    }
  });
});

describe('a failure says who must act and how', () => {
  const chroots = ['debian-12', 'debian-13'];
  it('unknown image', () => {
    expect(failureOf({ image: 'debian-14', chroots })).toMatchObject({
      name: 'JobError',
      message: 'Image "debian-14" is not available on this runner.',
      details: ['Available: debian-12, debian-13.'],
      hint: "Use one of these in `image:`, or ask the runner's operator to run `nspawn-runner chroot create debian-14`.",
    });
  });

  it('unknown image with an allow-list and a map', () => {
    const images = { 'debian:bookworm': 'debian-12', 'debian:sid': 'gone', secret: 'debian-13' };
    const allowedImages = ['debian*:*', 'debian-1?'];
    expect(
      failureOf({ image: 'debian:14', chroots: [...chroots, 'secret'], images, allowedImages }),
    ).toMatchObject({
      name: 'JobError',
      message: 'Image "debian:14" is not available on this runner.',
      details: ['Available: debian-12, debian-13, debian:bookworm.'],
      hint: "Use one of these in `image:`, or ask the runner's operator to run `nspawn-runner chroot create debian-14`.",
    });
  });

  it('unknown image on a host without chroots', () => {
    expect(failureOf({ image: 'ruby:3.3', chroots: [] })).toMatchObject({
      name: 'JobError',
      message: 'Image "ruby:3.3" is not available on this runner.',
      details: ['Available: none.'],
      hint: "Ask the runner's operator to run `nspawn-runner chroot create ruby-3.3`.",
    });
  });

  it('an image that could be no chroot', () => {
    expect(failureOf({ image: 'group/.hidden', chroots: ['.hidden'] })).toMatchObject({
      name: 'JobError',
      message: 'Image "group/.hidden" is not available on this runner.',
      hint: "Use one of these in `image:`, or ask the runner's operator to add a chroot for it.",
    });
  });

  it('many chroots', () => {
    const many = Array.from({ length: 45 }, (_, index) => `c${index}`);
    const [line] = failureOf({ image: 'x', chroots: many }).details;
    expect(line).toMatch(/^Available: c0, c1, .*, c39, and 5 more\.$/);
  });

  it('refused image', () => {
    expect(failureOf({ image: 'ruby', allowedImages: ['debian-*', 'x/**'] })).toMatchObject({
      name: 'JobError',
      message: 'Image "ruby" is not allowed on this runner.',
      details: ['Allowed: debian-*, x/**.'],
      hint: "Use an image that matches, or ask the runner's operator to add it to allowed_images.",
    });
  });

  it('an image that matches and means a chroot that does not', () => {
    const parts = { chroots: ['debian-12', 'secret'], allowedImages: ['debian-*'] };
    expect(failureOf({ image: 'debian-12:secret', ...parts })).toMatchObject({
      name: 'JobError',
      message: 'Image "debian-12:secret" is not allowed on this runner.',
      details: ['It means chroot "secret", which is not on the list.', 'Allowed: debian-*.'],
    });
  });

  it('no image and no default', () => {
    expect(failureOf({ chroots })).toMatchObject({
      name: 'JobError',
      message: 'The job names no image and this runner has no default.',
      details: ['Available: debian-12, debian-13.'],
      hint: "Name one in `image:`, or ask the runner's operator to set default_image.",
    });
  });

  it('a default that is not there', () => {
    expect(failureOf({ defaultImage: 'debian:14', chroots })).toMatchObject({
      name: 'SettingsError',
      message: 'Image "debian:14", the default of this runner, is not available.',
      details: ['Chroots: debian-12, debian-13.'],
      hint: 'Correct default_image, or run `nspawn-runner chroot create debian-14`.',
    });
  });

  it('a map to a chroot that is not there', () => {
    expect(failureOf({ image: 'a', images: { a: 'b' }, chroots })).toMatchObject({
      name: 'SettingsError',
      message: 'Image "a" is mapped to chroot "b", which is not there.',
      hint: 'Correct images in the settings, or run `nspawn-runner chroot create b`.',
    });
  });

  it('an image that is no name', () => {
    expect(failureOf({ image: 'a b\u001b[31m\nc', chroots })).toMatchObject({
      name: 'JobError',
      message: 'Image "a?b?[31m?c" is not the name of an image.',
      details: ['A name has neither spaces nor control characters, and at most 1000 characters.'],
      hint: 'Correct `image:`; a variable in it may be undefined or hold a line break.',
    });
  });
});

it('never chooses what is not there, whatever the image', () => {
  const { below, pick, text } = fuzz('image');
  const words = ['debian', 'debian-12', '12', '..', '.', '/', ':', '@', DIGEST, 'constructor'];
  const chroots = ['debian', 'debian-12', '.hidden', 'a/b', '12', 'constructor'];
  for (let run = 0; run < 5000; run += 1) {
    const pieces = Array.from({ length: 1 + below(5) }, () =>
      below(4) === 0 ? text(below(4), ':/@.-*?[](){}+\\^$|\u0000 é') : pick(words),
    );
    const parts = {
      image: pieces.join(''),
      allowedImages: below(2) === 0 ? undefined : [text(below(8), '*?[](){}+\\^$|/-:.ad'), '**'],
      chroots,
    };
    try {
      const { chroot } = chooseChroot(request(parts));
      expect(['debian', 'debian-12', '12', 'constructor']).toContain(chroot);
    } catch (error) {
      if (!(error instanceof JobError) && !(error instanceof SettingsError)) {
        throw new Error(`Wrong failure for ${JSON.stringify(parts)}`, { cause: error });
      }
    }
  }
});
