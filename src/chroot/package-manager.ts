/** Packages of a tree that is there already: installed and upgraded by its own package manager. */
import { SettingsError } from '../errors.ts';
import { runInTree, type TreeCommand } from '../tools/systemd-nspawn-command.ts';
import type { ConfinedRun } from '../tools/confined.ts';
import { existsInTree } from './tree-path.ts';

type Command = readonly string[];

export interface PackageManager {
  readonly name: 'apt' | 'dnf';
  readonly install: (packages: readonly string[]) => readonly Command[];
  readonly upgrade: readonly Command[];
  /** Directories that `simulate` writes to; the rest of the tree is read-only to it. */
  readonly scratch: readonly string[];
  /** Says what an upgrade would do. */
  readonly simulate: readonly Command[];
  /** Whether a line of `simulate` says that there is something to do. */
  readonly isWork: (line: string) => boolean;
  /** Takes away what was fetched. */
  readonly clean: readonly Command[];
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

const apt: PackageManager = {
  name: 'apt',
  install: (packages) => [APT_UPDATE, [...APT, 'install', '--', ...packages]],
  upgrade: [APT_UPDATE, [...APT, 'dist-upgrade']],
  scratch: ['/var/lib/apt/lists', '/var/cache/apt', '/var/log/apt', '/tmp'],
  simulate: [APT_UPDATE, [...APT, '--simulate', 'dist-upgrade']],
  isWork: (line) => /^(?:Inst|Remv|Purg) /.test(line),
  clean: [
    [...APT, 'clean'],
    ['/usr/bin/find', '/var/lib/apt/lists', '-mindepth', '1', '-delete'],
  ],
};

const dnf: PackageManager = {
  name: 'dnf',
  install: (packages) => [['/usr/bin/dnf', '--assumeyes', 'install', ...packages]],
  upgrade: [['/usr/bin/dnf', '--assumeyes', 'upgrade']],
  scratch: ['/var/cache', '/var/lib/dnf', '/var/log', '/tmp'],
  simulate: [['/usr/bin/dnf', '--quiet', 'list', '--upgrades']],
  isWork: (line) => /^\S+\.(?:noarch|\w+)\s+\S+\s+\S+/.test(line),
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

/** Whether an upgrade of a tree, which is not changed, would do anything. */
export async function hasUpgrades(manager: PackageManager, inTree: InTree): Promise<boolean> {
  const { command, how } = inTree;
  const lines: string[] = [];
  const onLine = (line: string): void => {
    lines.push(line);
    how.onLine(line);
  };
  const options = [
    ...(command.options ?? []),
    '--read-only',
    ...manager.scratch.map((path) => `--tmpfs=${path}`),
  ];
  await runAll(manager.simulate, { command: { ...command, options }, how: { ...how, onLine } });
  return lines.some(manager.isWork);
}
