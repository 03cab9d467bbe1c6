/** skopeo(1): images from registries and layouts into an OCI layout. */
import { access } from 'node:fs/promises';
import { runConfined, type ConfinedRun } from './confined.ts';
import { run } from './exec.ts';

const INSPECT_TIMEOUT_SEC = 30;
/** containers-policy.json(5). Without one skopeo refuses all images. */
const POLICY = '/etc/containers/policy.json';

export interface RemoteImage {
  /** skopeo(1) "IMAGE NAMES", with its transport. */
  readonly image: string;
  /** containers-auth.json(5); credentials are never on a command line. */
  readonly authFile: string | undefined;
  readonly tlsVerify: boolean;
}

export interface ImageCopy extends RemoteImage {
  /** A directory that does not exist. */
  readonly layout: string;
  readonly tag: string;
  /** False where this host has no policy of its own. */
  readonly hasPolicy: boolean;
}

/** `docker://NAME:TAG` and `sha256:…` → `docker://NAME@sha256:…`, containers-transports(5): not both. */
export function pinnedImage(image: string, digest: string): string {
  const named = image.replace(/@[^/@]*$/, '').replace(/:[^/:]*$/, '');
  // "docker:" itself is no name.
  return `${named === 'docker' ? image : named}@${digest}`;
}

export function copyArguments(copy: ImageCopy): string[] {
  const { image, layout, tag, authFile, tlsVerify, hasPolicy } = copy;
  return [
    ...(hasPolicy ? [] : ['--insecure-policy']),
    'copy',
    ...(authFile === undefined ? [] : [`--src-authfile=${authFile}`]),
    ...(tlsVerify ? [] : ['--src-tls-verify=false']),
    '--retry-times=2',
    // umoci(1) before 0.5 does not know zstd.
    '--dest-compress-format=gzip',
    '--',
    image,
    `oci:${layout}:${tag}`,
  ];
}

export function inspectArguments(
  { image, authFile, tlsVerify }: RemoteImage,
  what: '--raw' | '--format={{.Digest}}',
): string[] {
  return [
    'inspect',
    what,
    // A registry takes long to list them all.
    '--no-tags',
    ...(authFile === undefined ? [] : [`--authfile=${authFile}`]),
    ...(tlsVerify ? [] : ['--tls-verify=false']),
    '--',
    image,
  ];
}

/**
 * Copies an image into a new OCI layout.
 * @param tempDir private; layers pass through it.
 * @throws CommandError with skopeo's complaint, Stopped when `how.signal` ended it.
 */
export async function copyImage(
  copy: Omit<ImageCopy, 'hasPolicy'>,
  tempDir: string,
  how: ConfinedRun,
): Promise<void> {
  const hasPolicy = await access(POLICY).then(
    () => true,
    () => false,
  );
  const args = copyArguments({ ...copy, hasPolicy });
  await runConfined('skopeo', args, { ...how, env: { ...how.env, TMPDIR: tempDir } });
}

/**
 * The manifest that an image's name stands for now: of the image, or of all its architectures.
 * @throws CommandError where it cannot be had, HostError without skopeo, Stopped by `signal`.
 */
export async function rawManifest(image: RemoteImage, signal: AbortSignal): Promise<string> {
  return inspect(inspectArguments(image, '--raw'), signal);
}

/**
 * The digest of that manifest, by which a registry knows exactly this image.
 * @throws as rawManifest.
 */
export async function imageDigest(image: RemoteImage, signal: AbortSignal): Promise<string> {
  return (await inspect(inspectArguments(image, '--format={{.Digest}}'), signal)).trim();
}

async function inspect(args: readonly string[], signal: AbortSignal): Promise<string> {
  const { stdout } = await run('skopeo', args, { timeoutSec: INSPECT_TIMEOUT_SEC, signal });
  return stdout;
}
