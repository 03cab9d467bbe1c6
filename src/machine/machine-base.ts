/**
 * What a machine is made from: one version of a chroot, the operator's settings, and above them
 * what the chroot's recipe says of its machines.
 */
import type { Limits, Settings } from '../settings.ts';
import type { Bind } from '../tools/systemd-nspawn.ts';

export interface MachineChroot {
  readonly name: string;
  readonly version: string;
  /** The tree. */
  readonly path: string;
}

export interface MachineBase {
  readonly chroot: MachineChroot;
  /** `bash`, `sh` or an absolute path in the machine. */
  readonly shell: string;
  readonly user: string;
  readonly limits: Limits;
  /** The recipe's. */
  readonly binds: readonly Bind[];
  /** `none` is a loopback interface and nothing else. */
  readonly network: 'host' | 'none';
  readonly profile: 'default' | 'nesting';
  readonly suppressSync: boolean;
  readonly seccomp: boolean;
  /** Further options of systemd-nspawn. */
  readonly nspawnOptions: readonly string[];
  readonly bootTimeoutSec: number;
}

type Wishes = Omit<MachineBase, 'chroot' | 'limits'>;

/** What a recipe may say; undefined leaves the matter to the settings. */
export type RecipeSays = { readonly [Key in keyof Wishes]?: Wishes[Key] | undefined } & {
  readonly limits?: Partial<Limits> | undefined;
};

type SettingsSay = Pick<Settings, 'shell' | 'user' | 'limits' | 'bootTimeoutSec'>;

export function machineBase(
  { name, version, path }: MachineChroot,
  settings: SettingsSay,
  recipe: RecipeSays,
): MachineBase {
  const profile = recipe.profile ?? 'default';
  return {
    chroot: { name, version, path },
    shell: recipe.shell ?? settings.shell,
    user: recipe.user ?? settings.user,
    limits: mergeLimits(settings.limits, recipe.limits ?? {}),
    binds: recipe.binds ?? [],
    // With all capabilities in the host's network a Docker daemon rewrites the host's firewall.
    network: recipe.network ?? (profile === 'nesting' ? 'none' : 'host'),
    profile,
    suppressSync: recipe.suppressSync ?? false,
    seccomp: recipe.seccomp ?? true,
    nspawnOptions: recipe.nspawnOptions ?? [],
    bootTimeoutSec: recipe.bootTimeoutSec ?? settings.bootTimeoutSec,
  };
}

/** A size takes the place of a percentage, and a percentage that of a size. */
function mergeLimits(settings: Limits, recipe: Partial<Limits>): Limits {
  const either = (...values: unknown[]): Partial<Limits> =>
    values.some((value) => value !== undefined) ? recipe : settings;
  const max = either(recipe.memoryMaxBytes, recipe.memoryMaxPercent);
  const high = either(recipe.memoryHighBytes, recipe.memoryHighPercent);
  return {
    memoryMaxBytes: max.memoryMaxBytes,
    memoryMaxPercent: max.memoryMaxPercent,
    memoryHighBytes: high.memoryHighBytes,
    memoryHighPercent: high.memoryHighPercent,
    cpuWeight: recipe.cpuWeight ?? settings.cpuWeight,
    cpuQuotaPercent: recipe.cpuQuotaPercent ?? settings.cpuQuotaPercent,
    tasksMax: recipe.tasksMax ?? settings.tasksMax,
  };
}
