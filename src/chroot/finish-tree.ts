/** What is done to a fresh tree so that machines can boot from it, and what its recipe asks for. */
import { lstat, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { ConfinedRun } from '../tools/confined.ts';
import { runInTree } from '../tools/systemd-nspawn-command.ts';
import { buildMachine } from './build-command.ts';
import type { Recipe } from './recipe.ts';
import { removeTraces, replaceFile } from './traces.ts';
import { directoryInTree, existsInTree, placeInTree } from './tree-path.ts';

const ENVIRONMENT_FILE = '/etc/systemd/system.conf.d/50-nspawn-runner-recipe.conf';
const UPDATED = '# This file is newer than /usr: see systemd-update-done.service(8).\n';

export interface Finish extends Pick<Recipe, 'mask' | 'enable'> {
  /** Of all processes of its machines, the parent's included. */
  readonly environment: Readonly<Record<string, string>>;
}

export async function finishTree(
  tree: string,
  { mask: masked, enable, environment }: Finish,
  how: ConfinedRun,
): Promise<void> {
  if (Object.keys(environment).length > 0) {
    await writeFile(await placeInTree(tree, ENVIRONMENT_FILE), managerEnvironment(environment));
  }
  // What sysusers.d(5) of the tree asks for.
  await runIfThere(tree, ['/usr/bin/systemd-sysusers'], how);
  for (const name of masked) await mask(tree, name);
  if (enable.length > 0) {
    await runIfThere(tree, ['/usr/bin/systemctl', '--root=/', 'enable', '--', ...enable], how);
  }
  await removeTraces(tree);
  await markUpdated(tree);
}

/**
 * By the tree's own tools, because a host that only builds trees need not have them, and confined,
 * because a tree may be anybody's. One without them cannot boot, which its check tells.
 */
async function runIfThere(
  tree: string,
  [program = '', ...args]: readonly string[],
  how: ConfinedRun,
): Promise<void> {
  const places = [program, program.replace('/usr/bin/', '/bin/')];
  for (const place of places) {
    if (!(await existsInTree(tree, place))) continue;
    const machine = buildMachine(dirname(dirname(tree)));
    await runInTree({ tree, machine, argv: [place, ...args], network: false }, how);
    return;
  }
}

/** systemd-system.conf(5): DefaultEnvironment= reaches every process that the machine's init starts. */
export function managerEnvironment(environment: Readonly<Record<string, string>>): string {
  const lines = Object.entries(environment).map(([name, value]) => {
    // Quotes and backslashes as in systemd.syntax(7); "%" starts a specifier.
    const quoted = value.replaceAll(/[\\"]/g, '\\$&').replaceAll('%', '%%');
    return `DefaultEnvironment="${name}=${quoted}"\n`;
  });
  return `[Manager]\n${lines.join('')}`;
}

/** Where the link to /dev/null goes: systemd.unit(5), systemd.generator(7). */
export function maskLink(name: string): string {
  return name.startsWith('system-generators/')
    ? `/etc/systemd/${name}`
    : `/etc/systemd/system/${name}`;
}

async function mask(tree: string, name: string): Promise<void> {
  const path = maskLink(name);
  // The link itself is replaced and not what it points at, so only its directory is resolved.
  const place = join(await directoryInTree(tree, dirname(path)), basename(path));
  await rm(place, { force: true });
  await symlink('/dev/null', place);
}

/**
 * systemd-update-done.service(8): tells ConditionNeedsUpdate= that /etc and /var fit /usr, which
 * package installation saw to; otherwise every machine rebuilds the journal's catalog as it boots.
 * It compares times of modification, and reads the file only where these are in the same second.
 */
async function markUpdated(tree: string): Promise<void> {
  const { mtimeMs } = await lstat(await directoryInTree(tree, '/usr'));
  const later = Math.floor(mtimeMs / 1000) + 1;
  for (const dir of ['/etc', '/var']) {
    const file = join(await directoryInTree(tree, dir), '.updated');
    await replaceFile(file, UPDATED);
    await utimes(file, later, later);
  }
}
