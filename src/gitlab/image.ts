/**
 * Which chroot an image means. Pure: an image is only ever compared with the names of the chroots
 * that are there, so nothing in it becomes part of a path.
 */
import { JobError, SettingsError } from '../errors.ts';

export interface ImageRequest {
  /** As the job names it. */
  readonly image: string | undefined;
  /** For jobs that name none; the operator's word, so the allow-list does not apply to it. */
  readonly defaultImage: string | undefined;
  /** Globs; undefined allows every image and every chroot. */
  readonly allowedImages: readonly string[] | undefined;
  /** Image → chroot. */
  readonly images: Readonly<Record<string, string>>;
  /** Names of the chroots that are there. */
  readonly chroots: readonly string[];
}

interface Reference {
  readonly written: string;
  /** The reference without a digest (`@sha256:…`). */
  readonly undigested: string;
  /** All in front of the last part of the path, with its slash. */
  readonly path: string;
  /** The last part of the path, without tag. */
  readonly name: string;
  readonly tag: string | undefined;
}

interface Found {
  readonly chroot: string;
  /** What of the image names the chroot. */
  readonly by: 'whole' | 'name' | 'tag';
}

const CHROOT_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const IMAGE = /^[^\p{C}\p{Z}]{1,1000}$/u;
const DIGEST = /@[A-Za-z0-9+._-]+:[0-9A-Fa-f]+$/;
const MAX_LISTED = 40;

/**
 * @throws JobError for an image that is refused or unknown, with what there is; SettingsError where
 *   the operator's own default or map names what is not there.
 */
export function chooseChroot(request: ImageRequest): { readonly chroot: string } {
  const { image, defaultImage, allowedImages } = request;
  if (image === undefined) return { chroot: chooseDefault(request, defaultImage) };
  if (!IMAGE.test(image)) throw notAName(image);
  const reference = parseReference(image);
  const globs = allowedImages?.map(parseGlob);
  if (globs?.some((glob) => fits(glob, reference)) === false) throw notAllowed(request, image);
  const found = findChroot(reference, request);
  if (found === undefined) throw notAvailable(reference, request);
  if (globs !== undefined && !allowsChroot(globs, reference, found)) {
    throw notAllowed(request, image, found.chroot);
  }
  return { chroot: found.chroot };
}

function chooseDefault(request: ImageRequest, image: string | undefined): string {
  if (image === undefined) {
    throw new JobError('The job names no image and this runner has no default.', {
      details: [listed('Available', available(request))],
      hint: "Name one in `image:`, or ask the runner's operator to set default_image.",
    });
  }
  const reference = parseReference(image);
  const found = findChroot(reference, request);
  if (found !== undefined) return found.chroot;
  throw new SettingsError(`Image "${image}", the default of this runner, is not available.`, {
    details: [listed('Chroots', request.chroots)],
    hint: `Correct default_image, or run \`nspawn-runner chroot create ${likelyChroot(reference) ?? 'NAME'}\`.`,
  });
}

/**
 * `host:5000/name` has a port and no tag: a tag is behind the colon of the last part. A last part
 * with two colons has none, or a list with `debian:1*` would allow what is behind the second.
 */
function parseReference(written: string): Reference {
  const undigested = written.replace(DIGEST, '');
  const path = undigested.slice(0, undigested.lastIndexOf('/') + 1);
  const last = undigested.slice(path.length);
  const [name = '', tag = '', ...rest] = last.split(':');
  if (rest.length > 0) return { written, undigested, path, name: last, tag: undefined };
  return { written, undigested, path, name, tag: tag === '' ? undefined : tag };
}

function findChroot(reference: Reference, request: ImageRequest): Found | undefined {
  const { written, undigested, name, tag } = reference;
  const isThere = (chroot: string): boolean =>
    CHROOT_NAME.test(chroot) && request.chroots.includes(chroot);
  const exact = [written, undigested].find(isThere);
  if (exact !== undefined) return { chroot: exact, by: 'whole' };
  const key = [written, undigested].find((image) => Object.hasOwn(request.images, image));
  if (key !== undefined) {
    return { chroot: mappedChroot(key, request.images[key] ?? '', isThere), by: 'whole' };
  }
  const candidates: readonly Found[] = [
    ...(tag === undefined ? [] : [{ chroot: `${name}-${tag}`, by: 'whole' } as const]),
    ...(tag === undefined || tag === 'latest' ? [{ chroot: name, by: 'name' } as const] : []),
    // The rule of the Python tool of the same name: `…/base:unstable` is `unstable`.
    ...(tag === undefined ? [] : [{ chroot: tag, by: 'tag' } as const]),
  ];
  return candidates.find(({ chroot }) => isThere(chroot));
}

function mappedChroot(image: string, chroot: string, isThere: (chroot: string) => boolean): string {
  if (isThere(chroot)) return chroot;
  throw new SettingsError(`Image "${image}" is mapped to chroot "${chroot}", which is not there.`, {
    hint: `Correct images in the settings, or run \`nspawn-runner chroot create ${chroot}\`.`,
  });
}

interface Glob {
  /** Without a digest. */
  readonly name: string;
  readonly whole: RegExp;
  readonly undigested: RegExp;
  /** Undefined where the glob has no digest. */
  readonly digest: RegExp | undefined;
}

function parseGlob(glob: string): Glob {
  const at = glob.lastIndexOf('@');
  const name = at === -1 ? glob : glob.slice(0, at);
  return {
    name,
    whole: globPattern(glob),
    undigested: globPattern(name),
    digest: at === -1 ? undefined : globPattern(glob.slice(at)),
  };
}

/** A digest is compared with a digest alone: it would make `secret@debian:0a` fit `*debian*`. */
function fits({ whole, undigested, digest }: Glob, reference: Reference): boolean {
  if (whole.test(reference.undigested)) return true;
  if (digest?.test(reference.written.slice(reference.undigested.length)) !== true) return false;
  return undigested.test(reference.undigested);
}

/**
 * Whether the list allows the chroot, and not only the text that led to it: under `debian-*`,
 * `debian-12:secret` must not lead to `secret`. A glob that the text fits allows what both name and
 * tag name, what it fits in place of the image's last part, and a name or tag that it spells out.
 */
function allowsChroot(
  globs: readonly Glob[],
  reference: Reference,
  { chroot, by }: Found,
): boolean {
  if (by === 'whole' || globs.some(({ whole }) => whole.test(chroot))) return true;
  return globs
    .filter((glob) => fits(glob, reference))
    .some(({ name, undigested }) => {
      if (undigested.test(`${reference.path}${chroot}`)) return true;
      // With a colon of its own, the glob tells the name from the tag.
      return by === 'tag' ? name.endsWith(`:${chroot}`) : /:[^/]*$/.test(name);
    });
}

/** `*` and `?` stop at a slash and `**` does not, as in allowed_images of GitLab's Docker executor. */
function globPattern(glob: string): RegExp {
  const source = glob.replace(/\*{2,}|[*?]|[^*?]+/g, (part) => {
    if (part.startsWith('**')) return '.*';
    if (part === '*') return '[^/]*';
    return part === '?' ? '[^/]' : part.replace(/[\\^$.|+()[\]{}/]/g, '\\$&');
  });
  return new RegExp(`^${source}$`, 'u');
}

/** What a job may write in `image:` with success. */
function available({ chroots, images, allowedImages }: ImageRequest): readonly string[] {
  const mapped = Object.keys(images).filter((key) => chroots.includes(images[key] ?? ''));
  const globs = allowedImages?.map(parseGlob);
  return [...new Set([...chroots, ...mapped])].filter(
    (name) => globs?.some((glob) => fits(glob, parseReference(name))) !== false,
  );
}

function likelyChroot({ name, tag }: Reference): string | undefined {
  const chroot = tag === undefined || tag === 'latest' ? name : `${name}-${tag}`;
  return CHROOT_NAME.test(chroot) ? chroot : undefined;
}

function notAvailable(reference: Reference, request: ImageRequest): JobError {
  const names = available(request);
  const chroot = likelyChroot(reference);
  const ask = `ask the runner's operator to ${
    chroot === undefined ? 'add a chroot for it' : `run \`nspawn-runner chroot create ${chroot}\``
  }`;
  return new JobError(`Image "${reference.written}" is not available on this runner.`, {
    details: [listed('Available', names)],
    hint: names.length === 0 ? `A${ask.slice(1)}.` : `Use one of these in \`image:\`, or ${ask}.`,
  });
}

/** @param chroot what an image means that itself is allowed. */
function notAllowed(
  { allowedImages = [] }: ImageRequest,
  image: string,
  chroot?: string,
): JobError {
  return new JobError(`Image "${image}" is not allowed on this runner.`, {
    details: [
      ...(chroot === undefined ? [] : [`It means chroot "${chroot}", which is not on the list.`]),
      listed('Allowed', allowedImages),
    ],
    hint: "Use an image that matches, or ask the runner's operator to add it to allowed_images.",
  });
}

function notAName(image: string): JobError {
  const shown = image.replace(/[\p{C}\p{Z}]/gu, '?').slice(0, 100);
  return new JobError(`Image "${shown}" is not the name of an image.`, {
    details: ['A name has neither spaces nor control characters, and at most 1000 characters.'],
    hint: 'Correct `image:`; a variable in it may be undefined or hold a line break.',
  });
}

function listed(title: string, names: readonly string[]): string {
  const rest = names.length - MAX_LISTED;
  const more = rest > 0 ? `, and ${rest} more` : '';
  return `${title}: ${names.slice(0, MAX_LISTED).join(', ') || 'none'}${more}.`;
}
