/** ansible-playbook(1), and what Ansible's `chroot` connection wants on this host. */
import { findProgram } from './find-program.ts';
import { runConfined, type ConfinedRun } from './confined.ts';

export interface PlaybookRun {
  /** Absolute. */
  readonly playbook: string;
  readonly inventory: string;
  /** A JSON file; they win over all others. */
  readonly variables: string | undefined;
  /** Taken instead of the operator's and the system's. */
  readonly config: string;
  /** For files that are on their way into the tree. */
  readonly localTemp: string;
  /** Where Ansible keeps what is its user's; undefined for ~/.ansible. */
  readonly home: string | undefined;
}

/**
 * Ansible calls it as chroot(8), with the tree and a command; the file beside it has the words that
 * stand for `chroot TREE`. Python, because Ansible is there only with it.
 */
export const CHROOT_PROGRAM = `#!/usr/bin/env python3
import json
import os
import sys

with open(os.path.abspath(__file__) + ".json", encoding="utf-8") as file:
    words = json.load(file)
os.execvp(words[0], words + sys.argv[2:])
`;

export function playbookArguments({ playbook, inventory, variables }: PlaybookRun): string[] {
  return [
    `--inventory=${inventory}`,
    ...(variables === undefined ? [] : [`--extra-vars=@${variables}`]),
    '--',
    playbook,
  ];
}

/** Whether ansible-playbook is on this host. */
export async function hasAnsible(): Promise<boolean> {
  return (await findProgram('ansible-playbook')) !== undefined;
}

/**
 * Plays it to its end.
 * @throws CommandError with the last lines of its output, Stopped when `how.signal` ended it.
 */
export async function playPlaybook(what: PlaybookRun, how: ConfinedRun): Promise<void> {
  const { config, localTemp, home } = what;
  await runConfined('ansible-playbook', playbookArguments(what), {
    ...how,
    env: {
      // The operator's own word on vaults, callbacks and the like.
      ...Object.fromEntries(Object.entries(process.env).filter(isAnsibles)),
      // Nothing is written beside the operator's plugins.
      PYTHONDONTWRITEBYTECODE: '1',
      ANSIBLE_CONFIG: config,
      ANSIBLE_LOCAL_TEMP: localTemp,
      // Of tasks that are delegated to this host.
      ANSIBLE_REMOTE_TMP: localTemp,
      ...(home === undefined ? {} : { ANSIBLE_HOME: home }),
      ...how.env,
    },
  });
}

function isAnsibles(variable: [string, string | undefined]): variable is [string, string] {
  return variable[0].startsWith('ANSIBLE_') && variable[1] !== undefined;
}
