/** The working tree as it is now, uncommitted changes included, and what unpacks it in the machine. */
import { chmod, lstat, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { listWorkingTree } from '../../tools/git.ts';
import { createArchive } from '../../tools/tar.ts';
import type { ScriptContext } from '../shell/context.ts';
import { printNotice, quote } from '../shell/quote.ts';
import type { Repository } from './repository.ts';

/** Where the machine finds the archive. */
export const SOURCE_IN_MACHINE = '/run/nspawn-runner/source.tar';

const SLASH = Buffer.from('/');
const NUL = Buffer.from([0]);

/** Returns notes for the person; a worktree or submodule comes without its history. */
export async function archiveSource(
  repository: Repository,
  scratch: string,
  signal: AbortSignal,
): Promise<{ readonly archive: string; readonly notes: readonly string[] }> {
  const archive = join(scratch, 'source.tar');
  const { top, isGit } = repository;
  // Whoever runs the scripts in the machine reads it; here the directory around it keeps others out.
  await writeFile(archive, '', { flag: 'wx' });
  await chmod(archive, 0o644);
  if (!isGit) {
    await createArchive({ archive, directory: top, trees: ['.'], signal });
    return { archive, notes: [`${top} is not a git repository: all of it is copied.`] };
  }
  const namesFile = join(scratch, 'names');
  await writeFile(namesFile, await existingNames(top), { mode: 0o600 });
  const hasHistory = (await stat(join(top, '.git'))).isDirectory();
  const trees = hasHistory ? ['.git'] : [];
  await createArchive({ archive, directory: top, namesFile, trees, signal });
  return {
    archive,
    notes: hasHistory
      ? []
      : ['This is a worktree or a submodule: the job gets its files without the history.'],
  };
}

/** Commands of get_sources. */
export function unpackSource({ directories }: ScriptContext): readonly string[] {
  const project = quote(directories.project);
  return [
    `rm -rf ${project}`,
    `mkdir -p ${project}`,
    printNotice('Copying the working tree...'),
    `tar --extract --no-same-owner --file=${quote(SOURCE_IN_MACHINE)} --directory=${project}`,
  ];
}

/** A file that is tracked and deleted is not there to be copied. */
async function existingNames(top: string): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (const name of await listWorkingTree(top)) {
    const path = Buffer.concat([Buffer.from(top), SLASH, name]);
    const exists = await lstat(path).then(
      () => true,
      () => false,
    );
    if (exists) pieces.push(name, NUL);
  }
  return Buffer.concat(pieces);
}
