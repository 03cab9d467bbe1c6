/** What Ansible finds beside a playbook decides what the tree holds as the playbook does. */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';

/**
 * Where Ansible looks beside a playbook, and where people by its advice put what they include:
 * https://docs.ansible.com/ansible/latest/tips_tricks/sample_setup.html
 */
const DIRECTORIES = [
  ...['action_plugins', 'collections', 'files', 'filter_plugins', 'group_vars', 'handlers'],
  ...['host_vars', 'library', 'lookup_plugins', 'module_utils', 'roles', 'tasks', 'templates'],
  ...['test_plugins', 'vars', 'vars_plugins'],
];
/** What Python, git, ansible-galaxy and editors leave there, some of it new each time. */
const LEAVINGS = /^(?:__pycache__|\.git|\.galaxy_install_info|.*\.sw[a-p]|.*~|[.]?#.*)$/;
const EXECUTABLE = 0o111;

/**
 * One number for each directory that is there: names, contents, and what can be executed. Links are
 * followed, as Ansible does.
 * @throws whatever the system says of a file that cannot be read.
 */
export async function digestsBeside(playbook: string): Promise<Readonly<Record<string, string>>> {
  const digests: Record<string, string> = {};
  for (const name of DIRECTORIES) {
    const path = join(dirname(playbook), name);
    const found = await stat(path).catch(() => undefined);
    if (found?.isDirectory() !== true) continue;
    const hash = createHash('sha256');
    await addDirectory(hash, path, []);
    digests[name] = hash.digest('hex');
  }
  return digests;
}

/** @param above directories that this one is in, to end where a link leads back to one of them. */
async function addDirectory(hash: Hash, path: string, above: readonly string[]): Promise<void> {
  const real = await realpath(path);
  if (above.includes(real)) return;
  for (const name of (await readdir(path)).sort()) {
    if (LEAVINGS.test(name)) continue;
    const at = join(path, name);
    // A link that leads nowhere.
    const found = await stat(at).catch(() => undefined);
    hash.update(JSON.stringify(name));
    if (found?.isDirectory() === true) {
      hash.update('{');
      await addDirectory(hash, at, [...above, real]);
      hash.update('}');
    } else if (found?.isFile() === true) {
      hash.update((found.mode & EXECUTABLE) === 0 ? '-' : 'x');
      hash.update(await hashOfFile(at));
    }
  }
}

/** A file there may be larger than what can be held. */
async function hashOfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
