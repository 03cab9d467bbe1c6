/** A recipe's source → the first tree: whole and owned by root, but not yet fit for machines. */
import { chmod, chown, lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandError, HostError, SettingsError } from '../errors.ts';
import type { ConfinedRun } from '../tools/confined.ts';
import type { ParentSource, Source } from './source.ts';

export type RootSource = Exclude<Source, ParentSource>;

export interface SourceSite {
  /** An existing, empty directory of root's with mode 0755; a btrfs subvolume perhaps. */
  readonly tree: string;
  /** Private, on the same file system; its owner takes it away. */
  readonly tempDir: string;
  /** The operator's, for Debian recipes that name none. */
  readonly aptMirror: string | undefined;
  readonly packages: readonly string[];
  readonly how: ConfinedRun;
  /** Names the step for people. */
  readonly step: (text: string) => void;
}

export interface MadeSource {
  /** What was taken: mirror, digest, sha256, the tool's version. Never secrets. */
  readonly facts: Readonly<Record<string, string>>;
  /** Whether `packages` are in the tree; else the tree's own package manager installs them. */
  readonly packagesInstalled: boolean;
  /** What an image says of its processes; the recipe's own wins. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** What every tree has, as directories: later steps write below them. */
const ROOTS = ['etc', 'usr', 'var'];

/**
 * Fills `site.tree`.
 * @throws CommandError with the last lines of the tool that failed; HostError where this host lacks
 *   a tool or a keyring; SettingsError where what came is not what the recipe says; Stopped.
 */
export async function makeSourceTree(source: RootSource, site: SourceSite): Promise<MadeSource> {
  const made = await make(source, site);
  // An archive's "./" has the mode and the owner of a directory on its maker's host.
  await chown(site.tree, 0, 0);
  await chmod(site.tree, 0o755);
  await refuseOtherThanRoot(site.tree);
  return made;
}

async function make(source: RootSource, site: SourceSite): Promise<MadeSource> {
  switch (source.kind) {
    case 'debian':
      return (await import('./sources/debian.ts')).makeDebianTree(source, site);
    case 'fedora':
      return (await import('./sources/fedora.ts')).makeFedoraTree(source, site);
    case 'tar':
      return (await import('./sources/tar.ts')).makeTarTree(source, site);
    case 'oci':
      return (await import('./sources/oci.ts')).makeOciTree(source, site);
  }
}

/**
 * A link there would lead whoever writes "etc/hostname" of the tree into this host.
 * @throws SettingsError
 */
async function refuseOtherThanRoot(tree: string): Promise<void> {
  for (const name of ROOTS) {
    const found = await lstat(join(tree, name)).catch(() => undefined);
    if (found?.isDirectory() === true) continue;
    const there = (await readdir(tree)).sort().slice(0, 10).join(', ');
    throw new SettingsError(
      `The source has no directory "/${name}", so it is no root file system.`,
      {
        details: [`It has: ${there === '' ? 'nothing' : there}.`],
        hint: 'Name another source; for a tar archive with a directory above the root, set "strip_components".',
      },
    );
  }
}

/**
 * A fingerprint of what upstream offers now, without fetching it; the same as long as nothing changes.
 * Undefined where it cannot be told: upstream is not reachable, a tool is not there.
 * @throws Stopped when `site.how.signal` came.
 */
export async function upstreamState(
  source: RootSource,
  site: Pick<SourceSite, 'tempDir' | 'aptMirror' | 'how'>,
): Promise<string | undefined> {
  try {
    return await stateOf(source, site);
  } catch (error) {
    if (error instanceof CommandError || error instanceof HostError) return undefined;
    if (error instanceof SettingsError) return undefined;
    throw error;
  }
}

async function stateOf(
  source: RootSource,
  site: Pick<SourceSite, 'tempDir' | 'aptMirror' | 'how'>,
): Promise<string | undefined> {
  switch (source.kind) {
    case 'debian':
      return (await import('./sources/debian-upstream.ts')).debianState(source, site);
    case 'fedora':
      return (await import('./sources/fedora-upstream.ts')).fedoraState(source, site.how.signal);
    case 'tar':
      return (await import('./sources/tar.ts')).tarState(source, site.how.signal);
    case 'oci':
      return (await import('./sources/oci.ts')).ociState(source, site.how.signal);
  }
}
