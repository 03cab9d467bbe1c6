/** dnf(8), 4 and 5: makes a tree from packages of rpm repositories. */
import { join } from 'node:path';
import { CommandError } from '../errors.ts';
import { runConfined, type ConfinedRun } from './confined.ts';
import { findProgram } from './find-program.ts';

export interface DnfInstall {
  /** /proc is there, empty. */
  readonly tree: string;
  readonly release: string;
  /** dnf.conf(5). */
  readonly configFile: string;
  /** Holds .repo files and nothing else that counts. */
  readonly reposDir: string;
  /** Empty: the host's variables are not the recipe's. */
  readonly varsDir: string;
  /** At least one. */
  readonly packages: readonly string[];
}

/**
 * All of these options, and that paths on the command line are the host's and not the tree's, are
 * common to dnf(8) 4 and dnf5-installroot(7).
 */
export function dnfArguments(install: DnfInstall): string[] {
  const { tree, release, configFile, reposDir, varsDir, packages } = install;
  return [
    `--config=${configFile}`,
    `--installroot=${tree}`,
    `--releasever=${release}`,
    `--setopt=reposdir=${reposDir}`,
    `--setopt=varsdir=${varsDir}`,
    '--setopt=install_weak_deps=False',
    '--setopt=plugins=False',
    '--assumeyes',
    'install',
    ...packages,
  ];
}

/** dnf itself mounts nothing, and scriptlets read /proc; it goes with the namespace. */
export function withProcArguments(tree: string, argv: readonly string[]): string[] {
  return ['--mount', `--mount-proc=${join(tree, 'proc')}`, '--', ...argv];
}

/** The newest of the two that this host has; undefined when it has none. */
export async function findDnf(): Promise<string | undefined> {
  return findProgram('dnf5', 'dnf', 'dnf-3');
}

/**
 * Installs packages and what they need into the tree.
 * @param homeDir rpm reads its macros there, rpm(8) "FILES".
 * @throws CommandError with dnf's last lines, Stopped when `how.signal` ended it.
 */
export async function installWithDnf(
  dnf: string,
  install: DnfInstall,
  how: ConfinedRun & { readonly homeDir: string },
): Promise<void> {
  const argv = [dnf, ...dnfArguments(install)];
  const { homeDir, ...run } = how;
  try {
    await runConfined('unshare', withProcArguments(install.tree, argv), {
      ...run,
      env: { ...run.env, HOME: homeDir },
    });
  } catch (cause) {
    if (!(cause instanceof CommandError)) throw cause;
    const sentence = cause.message.replace(/^unshare /, 'dnf ');
    throw new CommandError(sentence, { ...cause.command, argv });
  }
}
