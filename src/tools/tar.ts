/** tar(1), GNU: the working tree into an archive, and a job's artifacts out of one. */
import { runConfined, type ConfinedRun } from './confined.ts';
import { run } from './exec.ts';

const CHANGED_WHILE_READ = 1;
const TIMEOUT_SEC = 1800;

export interface ArchiveOptions {
  readonly archive: string;
  /** What names in the archive are relative to. */
  readonly directory: string;
  /** Names that are taken with all that is below them; none begins with a dash. */
  readonly trees?: readonly string[];
  /** A file of NUL-terminated names; directories among them are not descended into. */
  readonly namesFile?: string;
  readonly signal?: AbortSignal | undefined;
}

/** Writes a new archive. */
export async function createArchive(options: ArchiveOptions): Promise<void> {
  const { archive, directory, namesFile, trees = [], signal } = options;
  const names =
    namesFile === undefined ? [] : ['--no-recursion', '--null', `--files-from=${namesFile}`];
  await run(
    'tar',
    ['--create', `--file=${archive}`, `--directory=${directory}`, ...trees, ...names],
    { okStatuses: [0, CHANGED_WHILE_READ], timeoutSec: TIMEOUT_SEC, signal },
  );
}

/**
 * Unpacks an archive that nobody vouches for: only into an empty directory that is ours alone, since
 * tar follows the links it finds there. It drops leading "/" and refuses ".." by itself.
 */
export async function extractArchive(
  archive: string,
  directory: string,
  signal?: AbortSignal,
): Promise<void> {
  await run(
    'tar',
    [
      '--extract',
      `--file=${archive}`,
      `--directory=${directory}`,
      '--no-same-owner',
      '--no-same-permissions',
      '--delay-directory-restore',
    ],
    { timeoutSec: TIMEOUT_SEC, signal },
  );
}

export interface TreeArchive {
  readonly archive: string;
  /** An empty directory that nobody else writes into. */
  readonly tree: string;
  readonly stripComponents: number;
}

/** Everything of a tree is kept but what an overlay or a policy of this host would take for its own. */
export function unpackTreeArguments({ archive, tree, stripComponents }: TreeArchive): string[] {
  return [
    '--extract',
    `--file=${archive}`,
    `--directory=${tree}`,
    '--numeric-owner',
    '--same-owner',
    '--same-permissions',
    '--delay-directory-restore',
    '--acls',
    '--xattrs',
    '--xattrs-include=*',
    // The kernel's "Overlay Filesystem": in a lower layer these move and hide files.
    '--xattrs-exclude=trusted.overlay.*',
    '--xattrs-exclude=security.selinux',
    `--strip-components=${stripComponents}`,
  ];
}

/**
 * Unpacks a root file system, the compression recognized by its first bytes. Names are kept below
 * `tree`: tar drops a leading "/", refuses ".." and makes links that point elsewhere last.
 * @throws CommandError with tar's last lines, Stopped when `how.signal` ended it.
 */
export async function unpackTree(what: TreeArchive, how: ConfinedRun): Promise<void> {
  await runConfined('tar', unpackTreeArguments(what), how);
}
