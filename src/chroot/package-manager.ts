/** Packages of a tree that is there already: installed and upgraded by its own package manager. */
import { chmod, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandError, HostError, SettingsError } from '../errors.ts';
import type { Bind } from '../tools/systemd-nspawn.ts';
import { runInTree, type TreeCommand } from '../tools/systemd-nspawn-command.ts';
import type { ConfinedRun } from '../tools/confined.ts';
import { withLookDirectory } from './look-directory.ts';
import { existsInTree } from './tree-path.ts';

type Command = readonly string[];

export interface PackageManager {
  readonly name: 'apt' | 'dnf';
  /** @param held packages that the tree holds: one that gets another version is not held meanwhile. */
  readonly install: (packages: readonly string[], held?: ReadonlySet<string>) => readonly Command[];
  /** For packages that another tool installed: one with a version keeps it. */
  readonly hold: (packages: readonly string[]) => readonly Command[];
  readonly upgrade: readonly Command[];
  /** An upgrade of a tree in which a recipe installed these packages: one with a version keeps it. */
  readonly refresh: (packages: readonly string[]) => readonly Command[];
  readonly look: Look;
  /** Takes away what was fetched. */
  readonly clean: readonly Command[];
}

/** How a tree that is not changed is asked what an upgrade would do. */
export interface Look {
  readonly commands: readonly Command[];
  /** Directory of the tree in which a command leaves its package lists to the next. */
  readonly lists: string | undefined;
  /** Of a list there; a look without any has seen nothing. */
  readonly isList: (name: string) => boolean;
  /** Whether a line says that there is something to do. */
  readonly isWork: (line: string) => boolean;
  /** Whether a line says that a repository was not read, where the exit status does not. */
  readonly isMiss: (line: string) => boolean;
  /** An exit status that says that there is something to do. */
  readonly workStatus: number | undefined;
}

/** apt-get(8): no questions, the recipe's own files stay, nothing waits for a disk that may be lost. */
const APT = [
  '/usr/bin/apt-get',
  '--quiet',
  '--yes',
  '--no-install-recommends',
  '--option=Dpkg::Options::=--force-confdef',
  '--option=Dpkg::Options::=--force-confold',
  '--option=Dpkg::Options::=--force-unsafe-io',
];
/** A mirror that fails must fail the build: by itself apt-get(8) goes on with what it had. */
const APT_UPDATE = [...APT, '--option=APT::Update::Error-Mode=any', 'update'];

const APT_LISTS = '/var/lib/apt/lists';
/** The lists of a look are in memory: apt.conf(5) keeps them compressed, without descriptions or caches. */
const APT_LOOK = [
  `--option=Dir::State::Lists=${APT_LISTS}`,
  '--option=Acquire::GzipIndexes=true',
  '--option=Acquire::Languages=none',
  '--option=Dir::Cache::pkgcache=',
  '--option=Dir::Cache::srcpkgcache=',
];
/** A package with a version, apt-get(8): `curl=7.88.1-10`. */
const APT_PIN = /^([^=]+)=/;

const apt: PackageManager = {
  name: 'apt',
  install: (packages, held) => [
    APT_UPDATE,
    // apt-mark(8) knows no package that is neither there nor a candidate of the tree's preferences.
    ...marks(
      'unhold',
      aptPins(packages).filter((name) => held?.has(name)),
    ),
    [...APT, ...downgrades(packages), 'install', '--', ...packages],
    ...marks('hold', aptPins(packages)),
  ],
  hold: (packages) => marks('hold', aptPins(packages)),
  upgrade: [APT_UPDATE, [...APT, 'dist-upgrade']],
  // With the lists, apt-mark(8) also knows what a step of the recipe has taken away again.
  refresh: (packages) => [
    APT_UPDATE,
    ...marks('hold', aptPins(packages)),
    [...APT, 'dist-upgrade'],
  ],
  look: {
    commands: [
      [...APT_UPDATE, ...APT_LOOK],
      [...APT, ...APT_LOOK, '--simulate', 'dist-upgrade'],
    ],
    lists: APT_LISTS,
    isList: (name) => /_(?:In)?Release$|_Packages(?:\.\w+)?$/.test(name),
    isWork: (line) => /^(?:Inst|Remv|Purg) /.test(line),
    // apt before 2.1 does not know Error-Mode, goes on with what it had and ends with 0.
    // "Err:" is no such line: the next of several forms of one list may be there.
    isMiss: (line) => /^W: (?:Failed to fetch|Some index files failed)/.test(line),
    workStatus: undefined,
  },
  clean: [
    [...APT, 'clean'],
    ['/usr/bin/find', APT_LISTS, '-mindepth', '1', '-delete'],
  ],
};

function aptPins(packages: readonly string[]): readonly string[] {
  return packages.flatMap((name) => APT_PIN.exec(name)?.[1] ?? []);
}

/**
 * apt-get(8), dist-upgrade leaves a held package as it is, and the same when it is simulated.
 * A version of a recipe's own outranks the one that the chroot which it extends holds.
 */
function marks(mark: 'hold' | 'unhold', names: readonly string[]): readonly Command[] {
  return names.length === 0 ? [] : [['/usr/bin/apt-mark', '--quiet', mark, '--', ...names]];
}

/** The version that a recipe gives may be older than the one that is there. */
function downgrades(packages: readonly string[]): readonly string[] {
  return aptPins(packages).length === 0 ? [] : ['--allow-downgrades'];
}

const dnf: PackageManager = {
  name: 'dnf',
  install: (packages) => [['/usr/bin/dnf', '--assumeyes', 'install', ...packages]],
  // Where the version begins in `name-version`, only the repositories can tell.
  hold: () => [],
  upgrade: [['/usr/bin/dnf', '--assumeyes', 'upgrade']],
  refresh: () => dnf.upgrade,
  look: {
    // A repository that is not read must not pass for one without anything newer.
    commands: [
      ['/usr/bin/dnf', '--quiet', '--setopt=*.skip_if_unavailable=0', '--refresh', 'check-update'],
    ],
    lists: undefined,
    isList: () => true,
    isWork: () => false,
    isMiss: () => false,
    // dnf(8), check-update.
    workStatus: 100,
  },
  clean: [['/usr/bin/dnf', 'clean', 'all']],
};

/** Undefined for a tree with neither. */
export async function packageManagerOf(tree: string): Promise<PackageManager | undefined> {
  if (await existsInTree(tree, '/usr/bin/apt-get')) return apt;
  if (await existsInTree(tree, '/usr/bin/dnf')) return dnf;
  return undefined;
}

/** Like packageManagerOf. @throws SettingsError for a tree with neither. */
export async function requirePackageManager(
  tree: string,
  recipe: { readonly name: string; readonly file: string },
): Promise<PackageManager> {
  const manager = await packageManagerOf(tree);
  if (manager !== undefined) return manager;
  throw new SettingsError(`The tree of chroot "${recipe.name}" has neither apt-get nor dnf.`, {
    details: [`"packages" and "update: refresh" in "${recipe.file}" need one of them.`],
    hint: 'Install with its own package manager under "script", and say "update: rebuild".',
  });
}

export interface InTree {
  readonly command: Omit<TreeCommand, 'argv'>;
  readonly how: ConfinedRun;
}

/** One after the other, in the tree. */
export async function runAll(
  commands: readonly Command[],
  { command, how }: InTree,
): Promise<void> {
  for (const argv of commands) await runInTree({ ...command, argv }, how);
}

/**
 * Whether an upgrade of a tree, which is not changed, would do anything.
 * @throws HostError when that was not told; whoever looked in vain has not seen that there is nothing.
 */
export async function hasUpgrades(
  { look }: PackageManager,
  { command, how }: InTree & { readonly command: { readonly chroot: string } },
): Promise<boolean> {
  const { chroot, ...inTree } = command;
  const lines: string[] = [];
  const onLine = (line: string): void => {
    lines.push(line);
    how.onLine(line);
  };
  // systemd-nspawn(1): what is written goes with the command, also /etc/resolv.conf, which the tree
  // does not have, and the files that apt's own user makes in /tmp.
  const options = [...(inTree.options ?? []), '--volatile=overlay'];
  return withLookDirectory(async (dir) => {
    const lists = await listsOf(look, dir);
    const binds = [...(inTree.binds ?? []), ...lists];
    const asked = { command: { ...inTree, options, binds }, how: { ...how, onLine } };
    if (await saysWork(look, asked, chroot)) return true;
    await requireLists(look, { chroot, lines, lists });
    return lines.some(look.isWork);
  });
}

/** Each command has a tree of its own, as it was; only these go from one to the next. */
async function listsOf({ lists }: Look, dir: string): Promise<readonly Bind[]> {
  if (lists === undefined) return [];
  const source = join(dir, 'lists');
  await mkdir(source);
  // apt's own user goes through it, whatever the umask.
  await chmod(source, 0o755);
  return [{ source, target: lists, readOnly: false }];
}

async function saysWork(look: Look, asked: InTree, chroot: string): Promise<boolean> {
  try {
    await runAll(look.commands, asked);
    return false;
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    const { exitStatus } = error.command;
    if (look.workStatus !== undefined && exitStatus === look.workStatus) return true;
    throw new HostError(`Chroot "${chroot}" was not looked through: ${error.message}`, {
      hint: LOOK_AGAIN,
      cause: error,
    });
  }
}

interface Seen {
  readonly chroot: string;
  readonly lines: readonly string[];
  readonly lists: readonly Bind[];
}

async function requireLists(look: Look, { chroot, lines, lists }: Seen): Promise<void> {
  const missed = lines.filter(look.isMiss);
  if (missed.length > 0) {
    const message = `Chroot "${chroot}" was not looked through: a repository was not read.`;
    throw new HostError(message, { details: missed, hint: LOOK_AGAIN });
  }
  for (const { source } of lists) {
    if ((await readdir(source)).some(look.isList)) continue;
    throw new HostError(
      `Chroot "${chroot}" has no package lists: whether anything is newer was not told.`,
      {
        hint: 'Name repositories in the sources of its package manager, or in the recipe.',
      },
    );
  }
}

const LOOK_AGAIN =
  'Correct what it complains about, in the recipe, its mirror or on this host, and try again.';
