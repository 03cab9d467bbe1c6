/** tar(1), GNU: whole trees with all their attributes, into an archive and out of one. */
import { runConfined, type ConfinedRun } from './confined.ts';
import { run } from './exec.ts';
import { outputBytes } from './output-bytes.ts';

/**
 * Attributes that belong to a tree; others are this host's (security.selinux) or overlayfs's. ACLs
 * go as attributes, because `--acls` writes them with this host's names of users, acl(5).
 */
export const KEPT_ATTRIBUTES = ['user.*', 'security.capability', 'system.posix_acl_*'];

const ATTRIBUTES = [
  '--xattrs',
  '--numeric-owner',
  ...KEPT_ATTRIBUTES.map((pattern) => `--xattrs-include=${pattern}`),
];

/** The same tree gives the same bytes: no process id in the names of extended headers. */
const CANONICAL = [
  '--format=posix',
  '--sort=name',
  '--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime',
  ...ATTRIBUTES,
];

/** Two threads and more where the host has them; zstd(1) adds the checksum of the content itself. */
const COMPRESS = '--use-compress-program=zstd --threads=0 --quiet';
const DECOMPRESS = '--use-compress-program=zstd --quiet';

/** The whole tree, contents and all, as an archive with names that begin with ".". Sockets are left out. */
export function treeBytes(tree: string, signal?: AbortSignal): AsyncIterable<Buffer> {
  return outputBytes(
    'tar',
    ['--create', '--file=-', ...CANONICAL, `--directory=${tree}`, '--', '.'],
    signal,
  );
}

export interface PackedPart {
  /** What names in the archive are relative to. */
  readonly directory: string;
  readonly name: string;
}

export function packArguments(archive: string, parts: readonly PackedPart[]): string[] {
  return [
    '--create',
    // A colon in the name is not a host's, tar(1).
    '--force-local',
    `--file=${archive}`,
    COMPRESS,
    '--sparse',
    ...CANONICAL,
    ...parts.flatMap(({ directory, name }) => [`--directory=${directory}`, name]),
  ];
}

/** Writes a compressed archive over a file that is there. */
export async function packTree(
  archive: string,
  parts: readonly PackedPart[],
  how: ConfinedRun,
): Promise<void> {
  await runConfined('tar', packArguments(archive, parts), how);
}

export function unpackArguments(archive: string, { directory, name }: PackedPart): string[] {
  return [
    '--extract',
    '--force-local',
    `--file=${archive}`,
    DECOMPRESS,
    '--same-owner',
    '--same-permissions',
    '--delay-directory-restore',
    ...ATTRIBUTES,
    `--directory=${directory}`,
    '--',
    name,
  ];
}

/** Unpacks one member with all that is below it. */
export async function unpackTree(
  archive: string,
  part: PackedPart,
  how: ConfinedRun,
): Promise<void> {
  await runConfined('tar', unpackArguments(archive, part), how);
}

/** The content of the first member of that name, and nothing behind it is read. */
export async function firstMember(
  archive: string,
  name: string,
  signal: AbortSignal,
): Promise<string> {
  const args = ['--extract', '--to-stdout', '--occurrence=1', '--force-local', DECOMPRESS];
  const { stdout } = await run('tar', [...args, `--file=${archive}`, '--', name], { signal });
  return stdout;
}
