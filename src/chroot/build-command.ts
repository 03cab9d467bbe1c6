/** A command in a tree that is being made. */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import type { TreeCommand } from '../tools/systemd-nspawn-command.ts';
import type { Site } from './build-site.ts';
import type { Recipe } from './recipe.ts';

/**
 * One name for all builds of a chroot, so that what a killed systemd-nspawn leaves below
 * /run/systemd/nspawn is the next one's.
 */
export function buildMachine(dir: string): string {
  return `nsrb-${createHash('sha256').update(dir).digest('hex').slice(0, 16)}`;
}

export interface ChrootCommand extends Omit<TreeCommand, 'argv'> {
  /** Whose tree it is, for whoever tells that it failed. */
  readonly chroot: string;
}

export function treeCommand(
  { tree, dir }: Pick<Site, 'tree' | 'dir'>,
  { environment, machine }: Pick<Recipe, 'environment' | 'machine'>,
): ChrootCommand {
  return {
    tree,
    chroot: basename(dir),
    machine: buildMachine(dir),
    env: environment,
    options: machine.nspawnOptions ?? [],
  };
}
