/**
 * Artifacts from the machine into the working tree. The archive is the job's word: it is unpacked
 * in a directory of ours, and from there only files, directories and harmless links are copied, and
 * never through a link of the working tree.
 */
import { constants } from 'node:fs';
import {
  chmod,
  copyFile,
  lchown,
  lstat,
  mkdir,
  readdir,
  readlink,
  rm,
  stat,
  symlink,
} from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { extractArchive } from '../../tools/tar.ts';

export interface CopiedArtifacts {
  /** Relative to the working tree: files and links, not directories. */
  readonly names: readonly string[];
  /** What was left out, and why, one a line. */
  readonly skipped: readonly string[];
}

interface Copy {
  readonly from: string;
  readonly to: string;
  /** No file in the archive can be larger than that, but a sparse one can say so. */
  readonly maxBytes: number;
  readonly owner: { readonly uid: number; readonly gid: number };
  readonly names: string[];
  readonly skipped: string[];
}

/** @param scratch a directory of ours, on a file system with room. */
export async function copyArtifacts(
  archive: string,
  scratch: string,
  workingTree: string,
): Promise<CopiedArtifacts> {
  const from = join(scratch, 'artifacts');
  await mkdir(from, { mode: 0o700 });
  await extractArchive(archive, from);
  const { uid, gid } = await stat(workingTree);
  const { size: maxBytes } = await stat(archive);
  const owner = { uid, gid };
  const copy: Copy = { from, to: workingTree, maxBytes, owner, names: [], skipped: [] };
  await copyDirectory(copy, '');
  return { names: copy.names, skipped: copy.skipped };
}

async function copyDirectory(copy: Copy, path: string): Promise<void> {
  for (const entry of await readdir(join(copy.from, path), { withFileTypes: true })) {
    const name = posix.join(path, entry.name);
    if (name === '.git') copy.skipped.push('.git: the repository itself is not an artifact');
    else if (entry.isDirectory()) {
      if (await makeDirectory(copy, name)) await copyDirectory(copy, name);
    } else if (entry.isFile()) await copyOneFile(copy, name);
    else if (entry.isSymbolicLink()) await copyLink(copy, name);
    else copy.skipped.push(`${name}: neither a file nor a directory nor a link`);
  }
}

/** False where the working tree has something else of that name. */
async function makeDirectory(copy: Copy, name: string): Promise<boolean> {
  const target = join(copy.to, name);
  const there = await typeOf(target);
  if (there === 'directory') return true;
  if (there !== 'absent') {
    copy.skipped.push(`${name}: the working tree has a ${there} there`);
    return false;
  }
  await mkdir(target);
  await takeMode(copy, name);
  return true;
}

async function copyOneFile(copy: Copy, name: string): Promise<void> {
  if ((await lstat(join(copy.from, name))).size > copy.maxBytes) {
    copy.skipped.push(`${name}: larger than the archive that it came in`);
    return;
  }
  if (!(await makeRoom(copy, name))) return;
  // EXCL: a link that appears meanwhile is not written through.
  await copyFile(join(copy.from, name), join(copy.to, name), constants.COPYFILE_EXCL);
  await takeMode(copy, name);
  copy.names.push(name);
}

async function copyLink(copy: Copy, name: string): Promise<void> {
  const target = await readlink(join(copy.from, name));
  const reached = posix.join(dirname(name), target);
  if (target.startsWith('/') || reached === '..' || reached.startsWith('../')) {
    copy.skipped.push(`${name}: a link to ${target}, which is outside of the working tree`);
    return;
  }
  if (!(await makeRoom(copy, name))) return;
  await symlink(target, join(copy.to, name));
  await lchown(join(copy.to, name), copy.owner.uid, copy.owner.gid);
  copy.names.push(name);
}

async function makeRoom(copy: Copy, name: string): Promise<boolean> {
  if ((await typeOf(join(copy.to, name))) === 'directory') {
    copy.skipped.push(`${name}: the working tree has a directory there`);
    return false;
  }
  await rm(join(copy.to, name), { force: true });
  return true;
}

async function takeMode(copy: Copy, name: string): Promise<void> {
  const { mode } = await lstat(join(copy.from, name));
  // Without set-uid and set-gid: the machine's root is not the host's.
  await chmod(join(copy.to, name), mode & 0o777);
  await lchown(join(copy.to, name), copy.owner.uid, copy.owner.gid);
}

async function typeOf(path: string): Promise<'absent' | 'directory' | 'file' | 'link'> {
  try {
    const found = await lstat(path);
    if (found.isSymbolicLink()) return 'link';
    return found.isDirectory() ? 'directory' : 'file';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'absent';
    throw error;
  }
}
