/** An image of a registry or a layout: skopeo brings it, umoci unpacks it. */
import { createHash } from 'node:crypto';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError, SettingsError } from '../../errors.ts';
import { copyImage, imageDigest, pinnedImage, rawManifest } from '../../tools/skopeo.ts';
import { removeTree } from '../../tools/rm.ts';
import { unpackImage } from '../../tools/umoci.ts';
import type { MadeSource, SourceSite } from '../source-tree.ts';
import type { OciSource } from '../source.ts';
import { removeDevices } from './devices.ts';
import { environmentOfLayout } from './oci-layout.ts';
import { requireProgram } from './required-program.ts';

const TAG = 'tree';

/** The tree of all layers; nothing is installed, and what the image would start is not ours. */
export async function makeOciTree(source: OciSource, site: SourceSite): Promise<MadeSource> {
  const { tempDir, tree, how, step } = site;
  await requireProgram('skopeo', 'skopeo', 'brings images');
  await requireProgram('umoci', 'umoci', 'unpacks images');
  await requireAuthFile(source.authFile);
  const layout = join(tempDir, 'image');
  step(`bringing ${source.image}`);
  const digest = await bring(source, { layout, tag: TAG }, site);
  const environment = await environmentOfLayout(layout);
  step('unpacking the layers');
  await unpackImage({ layout, tag: TAG, tree }, how);
  await removeTree(layout);
  await removeDevices(tree);
  const facts = { image: source.image, digest };
  return { facts, packagesInstalled: false, environment };
}

/** Returns the digest of what came. @throws SettingsError for an image that the recipe does not mean. */
async function bring(
  source: OciSource,
  into: { readonly layout: string; readonly tag: string },
  { tempDir, how }: SourceSite,
): Promise<string> {
  const { image, authFile, tlsVerify } = source;
  if (isInRegistry(image)) {
    // By its digest: the tag may mean another image a moment later.
    const digest = source.digest ?? (await imageDigest(source, how.signal));
    const exact = pinnedImage(image, digest);
    await copyImage({ ...into, image: exact, authFile, tlsVerify }, tempDir, how);
    return digest;
  }
  const before = await imageDigest(source, how.signal);
  if (source.digest !== undefined) refuseOther(image, source.digest, before);
  await copyImage({ ...into, image, authFile, tlsVerify }, tempDir, how);
  refuseOther(image, before, await imageDigest(source, how.signal));
  return before;
}

function isInRegistry(image: string): boolean {
  return image.startsWith('docker://');
}

/** @throws SettingsError for an image that is not the one that is meant. */
function refuseOther(image: string, meant: string, found: string): void {
  if (meant === found) return;
  throw new SettingsError(`"${image}" is not the image that is meant.`, {
    details: [`Digest that is meant: ${meant}`, `Digest of the image: ${found}`],
    hint: 'Find out why it changed; if it may be so, correct "digest" in the recipe.',
  });
}

async function requireAuthFile(authFile: string | undefined): Promise<void> {
  if (authFile === undefined) return;
  await access(authFile).catch((cause: unknown) => {
    throw new HostError(`"${authFile}", which is to have the credentials, is not on this host.`, {
      hint: `Make it with: skopeo login --authfile=${authFile} REGISTRY`,
      cause,
    });
  });
}

/**
 * A pinned image is what it is; else the manifest that the name stands for now.
 * @throws CommandError when it cannot be had, HostError without skopeo, Stopped by `signal`.
 */
export async function ociState(source: OciSource, signal: AbortSignal): Promise<string> {
  if (source.digest !== undefined) return source.digest;
  return createHash('sha256')
    .update(await rawManifest(source, signal))
    .digest('hex');
}
