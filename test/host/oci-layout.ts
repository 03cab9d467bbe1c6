/** An OCI image layout made by hand, from directories, so that no registry is wanted. */
import { execa } from 'execa';
import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface LayoutOptions {
  /** Where the layout is made; the directory is not there. */
  readonly layout: string;
  readonly tag: string;
  /** Directories or tar archives, the lowest first; a file `.wh.NAME` takes NAME of those below away. */
  readonly layers: readonly string[];
  readonly compression?: 'gzip' | 'zstd';
  /** `NAME=value`. */
  readonly environment?: readonly string[];
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

const IMAGE = 'application/vnd.oci.image';
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64' };

/** Returns the digest of the image's manifest. opencontainers/image-spec, image-layout.md. */
export async function makeOciLayout(options: LayoutOptions): Promise<string> {
  const { layout, tag, layers, compression = 'gzip', environment = [] } = options;
  await mkdir(join(layout, 'blobs/sha256'), { recursive: true });
  const blobs: Descriptor[] = [];
  const diffIds: string[] = [];
  for (const layer of layers) {
    const file = join(layout, 'layer');
    await pack(layer, file);
    diffIds.push(`sha256:${sha256(await readFile(file))}`);
    await execa('zstd', ['--quiet', `--format=${compression}`, '--rm', '-o', `${file}.z`, file]);
    blobs.push(await addFile(layout, `${file}.z`, `${IMAGE}.layer.v1.tar+${compression}`));
  }
  const config = await addJson(layout, `${IMAGE}.config.v1+json`, {
    architecture: ARCHITECTURES[process.arch] ?? process.arch,
    os: 'linux',
    config: { Env: environment },
    rootfs: { type: 'layers', diff_ids: diffIds },
  });
  const mediaType = `${IMAGE}.manifest.v1+json`;
  const manifest = { schemaVersion: 2, mediaType, config, layers: blobs };
  const descriptor = await addJson(layout, mediaType, manifest);
  const annotations = { 'org.opencontainers.image.ref.name': tag };
  const index = { schemaVersion: 2, manifests: [{ ...descriptor, annotations }] };
  await writeFile(join(layout, 'index.json'), JSON.stringify(index));
  await writeFile(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  return descriptor.digest;
}

async function pack(layer: string, file: string): Promise<void> {
  if (layer.endsWith('.tar')) {
    await copyFile(layer, file);
    return;
  }
  await execa('tar', [
    ...['--create', `--file=${file}`, `--directory=${layer}`, '--format=pax', '--sort=name'],
    ...['--numeric-owner', '--xattrs', '--xattrs-include=*', '--mtime=@0', '.'],
  ]);
}

async function addJson(layout: string, mediaType: string, value: object): Promise<Descriptor> {
  const file = join(layout, 'document');
  await writeFile(file, JSON.stringify(value));
  return addFile(layout, file, mediaType);
}

async function addFile(layout: string, file: string, mediaType: string): Promise<Descriptor> {
  const bytes = await readFile(file);
  const hash = sha256(bytes);
  await rename(file, join(layout, 'blobs/sha256', hash));
  return { mediaType, digest: `sha256:${hash}`, size: bytes.length };
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
