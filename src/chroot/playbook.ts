/** An Ansible playbook on a tree that is being made, as the Python tool of the same name plays it. */
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { CommandError, HostError, SettingsError } from '../errors.ts';
import { STATE_DIR } from '../paths.ts';
import {
  CHROOT_PROGRAM,
  hasAnsible,
  playPlaybook,
  type PlaybookRun,
} from '../tools/ansible-playbook.ts';
import type { ConfinedRun } from '../tools/confined.ts';
import { NSPAWN_ENVIRONMENT, treeCommandArguments } from '../tools/systemd-nspawn-command.ts';
import { buildMachine } from './build-command.ts';
import { withoutServices } from './no-services.ts';
import type { Playbook } from './recipe.ts';

export interface PlaybookSite extends ConfinedRun {
  /** Private; what is made there stays for the caller to remove. */
  readonly tempDir: string;
  /** Further options of systemd-nspawn. */
  readonly options: readonly string[];
}

export type PlaybookSign = 'no connection' | 'no hosts' | 'played';

/** In the tree, which keeps nothing of it. */
const REMOTE_TEMP = '/run/nspawn-runner-ansible';
/** Ansible's own home, where an operator keeps roles and collections. */
const ANSIBLE_HOME = '/root/.ansible';

/**
 * One command of the tree's modules is one systemd-nspawn: with pipelining a task is one command
 * and not five. Ansible's own default for cows depends on whether the host has some.
 */
const CONFIG = `[defaults]
nocows = True
pipelining = True
force_valid_group_names = ignore
`;

/**
 * @throws HostError without Ansible or its `chroot` connection, SettingsError when no play is for the
 *   tree, CommandError when one failed, Stopped when `how.signal` came.
 */
export async function runPlaybook(
  playbook: Playbook,
  tree: string,
  how: PlaybookSite,
): Promise<void> {
  if (!(await hasAnsible())) throw noAnsible(playbook);
  const dir = join(how.tempDir, 'ansible');
  const seen = new Set<PlaybookSign>();
  const onLine = (line: string): void => {
    const sign = signOf(line, tree);
    if (sign !== undefined) seen.add(sign);
    how.onLine(line);
  };
  const files = await writeAnsibleFiles(dir, playbook, { tree, options: how.options });
  const { lockFd, signal } = how;
  const env = { ...how.env, ...NSPAWN_ENVIRONMENT };
  await withoutServices(tree, async () => {
    try {
      await playPlaybook({ playbook: playbook.file, ...files }, { lockFd, signal, onLine, env });
    } catch (error) {
      throw error instanceof CommandError && seen.has('no connection')
        ? noConnection(error)
        : error;
    }
  });
  if (seen.has('no hosts') && !seen.has('played')) throw noHosts(playbook);
}

/** What a line of ansible-playbook's says; one that is not known changes nothing. */
export function signOf(line: string, tree: string): PlaybookSign | undefined {
  if (/connection plugin '[\w.]*chroot' was not found/.test(line)) return 'no connection';
  if (/^skipping: no hosts matched/.test(line)) return 'no hosts';
  // The recap at the end.
  return line.startsWith(`${tree} `) && /: ok=\d/.test(line) ? 'played' : undefined;
}

interface Target {
  readonly tree: string;
  readonly options: readonly string[];
}

/** The one host is the tree by its path; the Python tool's path for it is a group of that host. */
export function inventoryOf(playbook: string, tree: string, program: string): unknown {
  const formerPath = join(STATE_DIR, basename(playbook, extname(playbook)));
  return {
    all: {
      hosts: {
        [tree]: {
          ansible_connection: 'chroot',
          ansible_chroot_exe: program,
          ansible_remote_tmp: REMOTE_TEMP,
          ansible_async_dir: REMOTE_TEMP,
        },
      },
      children: { [formerPath]: { hosts: { [tree]: {} } } },
    },
  };
}

async function writeAnsibleFiles(
  dir: string,
  { file, variables }: Playbook,
  { tree, options }: Target,
): Promise<Omit<PlaybookRun, 'playbook'>> {
  const at = (name: string): string => join(dir, name);
  await mkdir(at('local'), { recursive: true, mode: 0o700 });
  await mkdir(at('remote'), { mode: 0o700 });
  const words = treeCommandArguments({
    tree,
    machine: buildMachine(dirname(dirname(tree))),
    argv: [],
    binds: [{ source: at('remote'), target: REMOTE_TEMP, readOnly: false }],
    options,
  });
  const program = at('chroot');
  await writeFile(program, CHROOT_PROGRAM, { mode: 0o700 });
  await writeFile(`${program}.json`, JSON.stringify(['systemd-nspawn', ...words]));
  await writeFile(at('inventory.json'), JSON.stringify(inventoryOf(file, tree, program)));
  await writeFile(at('variables.json'), JSON.stringify(variables));
  await writeFile(at('ansible.cfg'), CONFIG);
  return {
    inventory: at('inventory.json'),
    variables: Object.keys(variables).length === 0 ? undefined : at('variables.json'),
    config: at('ansible.cfg'),
    localTemp: at('local'),
    // Ansible makes an empty one where there is none.
    home: (await isDirectory(ANSIBLE_HOME)) ? undefined : at('home'),
  };
}

async function isDirectory(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isDirectory() === true;
}

function noAnsible({ file }: Playbook): HostError {
  return new HostError('"ansible-playbook" is not installed on this host.', {
    details: [`"${file}" is an Ansible playbook.`],
    hint: 'Install Ansible; in Debian and Ubuntu it is the package "ansible".',
  });
}

function noConnection(cause: CommandError): HostError {
  return new HostError('Ansible on this host has no "chroot" connection.', {
    details: ['It is in the collection community.general, which is no part of ansible-core.'],
    hint: 'Install the package "ansible", or: ansible-galaxy collection install community.general',
    cause,
  });
}

function noHosts({ file }: Playbook): SettingsError {
  return new SettingsError(`No play of "${file}" is for the chroot.`, {
    details: ['Ansible has found no host for any of them, and done nothing.'],
    hint: 'Write `hosts: all`.',
  });
}
