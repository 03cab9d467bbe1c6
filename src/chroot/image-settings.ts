/**
 * What a recipe's `machine` says of the machines of its chroot. prepare reads it in every job, as
 * JSON beside the version's tree, so there is no schema here: it is root's own file.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { HostError } from '../errors.ts';
import type { Limits } from '../settings.ts';

export interface ImageBind {
  /** Absolute, on the host. */
  readonly source: string;
  /** Absolute, in the machine. */
  readonly target: string;
  readonly readOnly: boolean;
}

/** Undefined leaves the matter to the operator's settings. */
export interface ImageSettings {
  readonly format: 1;
  readonly limits?: Partial<Limits> | undefined;
  readonly binds?: readonly ImageBind[] | undefined;
  /** `host` shares the host's network, `none` is a loopback interface and nothing else. */
  readonly network?: 'host' | 'none' | undefined;
  /** `nesting` lets systemd, Docker and Podman make machines and containers of their own. */
  readonly profile?: 'default' | 'nesting' | undefined;
  readonly shell?: 'bash' | 'sh' | undefined;
  readonly user?: string | undefined;
  readonly bootTimeoutSec?: number | undefined;
  /** systemd-nspawn(1), --suppress-sync=. */
  readonly suppressSync?: boolean | undefined;
  /** False takes systemd-nspawn's system call filter away. */
  readonly seccomp?: boolean | undefined;
  /** Further options of systemd-nspawn, each a word that begins with `--`. */
  readonly nspawnOptions?: readonly string[] | undefined;
}

const NOTHING: ImageSettings = { format: 1 };

/** The file of the version whose tree is `tree`. */
export function imageSettingsFile(tree: string): string {
  return join(dirname(tree), 'machine.json');
}

/**
 * What holds for the machines of one version; a version without the file leaves all to the settings.
 * @throws HostError for a file that this program did not write.
 */
export function readImageSettings(tree: string): ImageSettings {
  const path = imageSettingsFile(tree);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return NOTHING;
    throw error;
  }
  const value = parse(text);
  if (typeof value === 'object' && value !== null && 'format' in value && value.format === 1) {
    return value as ImageSettings;
  }
  throw new HostError(`"${path}" cannot be understood.`, {
    details: ['It was written by a newer nspawn-runner, or by hand.'],
    hint: 'Make the chroot again with this version: nspawn-runner chroot create NAME.',
  });
}

/** What holds where a recipe extends another: its own word before its parent's, lists one after the other. */
export function mergeImageSettings(parent: ImageSettings, own: ImageSettings): ImageSettings {
  const said = Object.entries(own).filter(([, value]) => value !== undefined);
  return {
    ...parent,
    ...Object.fromEntries(said),
    limits: mergeLimits(parent.limits, own.limits),
    binds: [...(parent.binds ?? []), ...(own.binds ?? [])],
    nspawnOptions: [...(parent.nspawnOptions ?? []), ...(own.nspawnOptions ?? [])],
    format: 1,
  };
}

/** Bytes replace a percentage of the same limit, and the other way round. */
function mergeLimits(parent: Partial<Limits> = {}, own: Partial<Limits> = {}): Partial<Limits> {
  const said = Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined));
  const kept = Object.entries(parent).filter(([key]) => {
    const twin = key.endsWith('Bytes')
      ? key.replace('Bytes', 'Percent')
      : key.replace('Percent', 'Bytes');
    return twin === key || said[twin] === undefined;
  });
  return { ...Object.fromEntries(kept), ...said };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
