/** What a job's machine will find in the tree that it boots from. */
import { HostError } from '../errors.ts';
import { existsInTree } from '../tools/tree-path.ts';
import { lookUpAccount, missingHome, type Account } from './account.ts';
import type { MachineBase } from './machine-base.ts';

export interface Inside {
  /** Absolute in the machine. */
  readonly shellPath: string;
  readonly owner: Account;
  /** A home to make for the user; absolute in the machine. */
  readonly home: string | undefined;
}

/** @throws HostError when the tree has no such shell or user. */
export async function lookInside({ chroot, shell, user }: MachineBase): Promise<Inside> {
  const shellPath = await findShell(chroot.path, shell);
  const owner = await lookUpAccount(chroot.path, user);
  return { shellPath, owner, home: await missingHome(chroot.path, user, owner) };
}

/** The shell as the machine knows it. */
async function findShell(tree: string, shell: string): Promise<string> {
  const places = shell.startsWith('/') ? [shell] : [`/bin/${shell}`, `/usr/bin/${shell}`];
  for (const place of places) {
    if (await existsInTree(tree, place)) return place;
  }
  throw new HostError(`The chroot has no shell "${shell}".`, {
    details: [`Looked for ${places.join(' and ')} below ${tree}.`],
    hint: 'Add it to the recipe, or choose another `shell` in the settings.',
  });
}
