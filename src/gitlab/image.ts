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
  /** Globs; undefined allows every image. */
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
  /** The last part of the path, without tag. */
  readonly name: string;
  readonly tag: string | undefined;
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
  if (!isAllowed(reference, allowedImages)) throw notAllowed(image, allowedImages ?? []);
  const chroot = findChroot(reference, request);
  if (chroot === undefined) throw notAvailable(reference, request);
  return { chroot };
}

function chooseDefault(request: ImageRequest, image: string | undefined): string {
  if (image === undefined) {
    throw new JobError('The job names no image and this runner has no default.', {
      details: [listed('Available', available(request))],
      hint: "Name one in `image:`, or ask the runner's operator to set default_image.",
    });
  }
  const reference = parseReference(image);
  const chroot = findChroot(reference, request);
  if (chroot !== undefined) return chroot;
  throw new SettingsError(`Image "${image}", the default of this runner, is not available.`, {
    details: [listed('Chroots', request.chroots)],
    hint: `Correct default_image, or run \`nspawn-runner chroot create ${likelyChroot(reference) ?? 'NAME'}\`.`,
  });
}

/** `host:5000/name` has a port and no tag: a tag is behind the last colon of the last part. */
function parseReference(written: string): Reference {
  const undigested = written.replace(DIGEST, '');
  const last = undigested.slice(undigested.lastIndexOf('/') + 1);
  const [name = '', ...rest] = last.split(':');
  const tag = rest.at(-1);
  return { written, undigested, name, tag: tag === '' ? undefined : tag };
}

function findChroot(reference: Reference, request: ImageRequest): string | undefined {
  const { written, undigested, name, tag } = reference;
  const isThere = (chroot: string): boolean =>
    CHROOT_NAME.test(chroot) && request.chroots.includes(chroot);
  const exact = [written, undigested].find(isThere);
  if (exact !== undefined) return exact;
  const mapped = [written, undigested].find((key) => Object.hasOwn(request.images, key));
  if (mapped !== undefined) return mappedChroot(mapped, request.images[mapped] ?? '', isThere);
  return [
    ...(tag === undefined ? [] : [`${name}-${tag}`]),
    ...(tag === undefined || tag === 'latest' ? [name] : []),
    // The rule of the Python tool of the same name: `…/base:unstable` is `unstable`.
    tag ?? name,
  ].find(isThere);
}

function mappedChroot(image: string, chroot: string, isThere: (chroot: string) => boolean): string {
  if (isThere(chroot)) return chroot;
  throw new SettingsError(`Image "${image}" is mapped to chroot "${chroot}", which is not there.`, {
    hint: `Correct images in the settings, or run \`nspawn-runner chroot create ${chroot}\`.`,
  });
}

function isAllowed(reference: Reference, globs: readonly string[] | undefined): boolean {
  if (globs === undefined) return true;
  return globs.map(globPattern).some((pattern) => {
    return pattern.test(reference.written) || pattern.test(reference.undigested);
  });
}

/**
 * `*` and `?` stop at a slash and `**` does not, as in allowed_images of GitLab's Docker executor.
 * So `debian-*` does not allow `debian-/secret`, whose last part would name a chroot.
 */
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
  return [...new Set([...chroots, ...mapped])].filter((name) =>
    isAllowed(parseReference(name), allowedImages),
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

function notAllowed(image: string, globs: readonly string[]): JobError {
  return new JobError(`Image "${image}" is not allowed on this runner.`, {
    details: [listed('Allowed', globs)],
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
