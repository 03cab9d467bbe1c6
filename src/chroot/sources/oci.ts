/** An image of a registry or a layout: skopeo brings it, umoci unpacks it. */
import { createHash } from 'node:crypto';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError, SettingsError } from '../../errors.ts';
import { copyImage, pinnedImage, rawManifest } from '../../tools/skopeo.ts';
import { removeTree } from '../../tools/rm.ts';
import { unpackImage } from '../../tools/umoci.ts';
import type { MadeSource, SourceSite } from '../source-tree.ts';
import type { OciSource } from '../source.ts';
import { removeDevices } from './devices.ts';
import { readLayoutImage } from './oci-layout.ts';
import { requireProgram } from './required-program.ts';

const TAG = 'tree';

/** The tree of all layers; nothing is installed, and what the image would start is not ours. */
export async function makeOciTree(source: OciSource, site: SourceSite): Promise<MadeSource> {
  const { tempDir, tree, how, step } = site;
  const { image, authFile, tlsVerify } = source;
  await requireProgram('skopeo', 'skopeo', 'brings images');
  await requireProgram('umoci', 'umoci', 'unpacks images');
  await requireAuthFile(authFile);
  const layout = join(tempDir, 'image');
  step(`bringing ${image}`);
  await copyImage(
    { image: exactImage(source), authFile, tlsVerify, layout, tag: TAG },
    tempDir,
    how,
  );
  const { digest, environment } = await readLayoutImage(layout);
  refuseOther(source, digest);
  step('unpacking the layers');
  await unpackImage({ layout, tag: TAG, tree }, how);
  await removeTree(layout);
  await removeDevices(tree);
  const facts = {
    image,
    ...(source.digest === undefined ? {} : { pinned: source.digest }),
    digest,
  };
  return { facts, packagesInstalled: false, environment };
}

/** A registry gives exactly the image of a digest; other places have no such names. */
function exactImage({ image, digest }: OciSource): string {
  return digest !== undefined && isInRegistry(image) ? pinnedImage(image, digest) : image;
}

function isInRegistry(image: string): boolean {
  return image.startsWith('docker://');
}

/** @throws SettingsError for an image that is not the one that the recipe pins. */
function refuseOther({ image, digest: wanted }: OciSource, found: string): void {
  if (wanted === undefined || isInRegistry(image) || wanted === found) return;
  throw new SettingsError(`"${image}" is not the image that the recipe means.`, {
    details: [`Digest in the recipe: ${wanted}`, `Digest of the image: ${found}`],
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
