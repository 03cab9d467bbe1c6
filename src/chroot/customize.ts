/** What a recipe does to the tree that its source made, in the order that docs/recipes.md gives. */
import { chmod, copyFile, mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SettingsError } from '../errors.ts';
import type { Site } from './build-site.ts';
import { treeCommand } from './build-command.ts';
import { heldPackages } from './held-packages.ts';
import { withoutServices } from './no-services.ts';
import { requirePackageManager, runAll } from './package-manager.ts';
import { runPlaybook } from './playbook.ts';
import type { Recipe, RecipeUser, Step } from './recipe.ts';
import { placeInTree } from './tree-path.ts';
import { runInTree } from '../tools/systemd-nspawn-command.ts';
import { readInTree } from '../tools/tree-path.ts';

const STEP_IN_TREE = '/run/nspawn-runner-step';
const DEFAULT_MODE = 0o644;

/** Packages that the source did not install itself. */
export async function installPackages(site: Site, recipe: Recipe): Promise<void> {
  if (recipe.packages.length === 0) return;
  site.progress.step(`installing ${recipe.packages.length} packages`);
  const manager = await requirePackageManager(site.tree, recipe);
  const held = await heldPackages(site.tree);
  const packages = recipe.packages.filter((name) => !held.has(name));
  for (const name of recipe.packages) {
    if (held.has(name)) site.how.onLine(`${name} is held, and stays as it is.`);
  }
  await runManager(site, recipe, [...manager.install(packages, held), ...manager.clean]);
}

/** Newer packages in a copy of the current tree. */
export async function upgradePackages(site: Site, recipe: Recipe): Promise<void> {
  site.progress.step('upgrading packages');
  const manager = await requirePackageManager(site.tree, recipe);
  await runManager(site, recipe, [...manager.refresh(recipe.packages), ...manager.clean]);
}

async function runManager(
  site: Site,
  recipe: Recipe,
  commands: readonly (readonly string[])[],
): Promise<void> {
  const { tree, how } = site;
  const command = treeCommand(site, recipe);
  await withoutServices(tree, () => runAll(commands, { command, how }));
}

export async function writeFiles(tree: string, recipe: Recipe): Promise<void> {
  for (const { path, content, source, mode } of recipe.files) {
    const place = await placeInTree(tree, path);
    if (source === undefined) await writeFile(place, content ?? '');
    else await copyOrTell(source, place, recipe);
    const given = source === undefined ? DEFAULT_MODE : (await stat(source)).mode & 0o7777;
    await chmod(place, mode ?? given);
  }
}

async function copyOrTell(source: string, place: string, recipe: Recipe): Promise<void> {
  try {
    await copyFile(source, place);
  } catch (error) {
    throw new SettingsError(`"${source}", which recipe "${recipe.file}" names, was not copied.`, {
      details: [(error as Error).message],
      hint: 'Put it there, or correct the recipe.',
      cause: error,
    });
  }
}

/** useradd(8), by the tree's own. A user who is there already stays as he is. */
export async function makeUser(site: Site, recipe: Recipe): Promise<void> {
  const { user } = recipe;
  if (user === undefined) return;
  site.progress.step(`making user ${user.name}`);
  const run = (...argv: string[]): Promise<void> =>
    runInTree({ ...treeCommand(site, recipe), argv }, site.how);
  for (const group of user.groups) await run('/usr/sbin/groupadd', '--force', group);
  if (!(await isUser(site.tree, user.name))) await run('/usr/sbin/useradd', ...userOptions(user));
  if (!user.sudo) return;
  const file = await placeInTree(site.tree, `/etc/sudoers.d/50-nspawn-runner-${user.name}`);
  await writeFile(file, `${user.name} ALL=(ALL:ALL) NOPASSWD: ALL\n`);
  await chmod(file, 0o440);
}

function userOptions(user: RecipeUser): string[] {
  return [
    '--create-home',
    `--home-dir=${user.home}`,
    `--shell=${user.shell}`,
    '--user-group',
    ...(user.uid === undefined ? [] : [`--uid=${user.uid}`]),
    ...(user.groups.length === 0 ? [] : [`--groups=${user.groups.join(',')}`]),
    user.name,
  ];
}

async function isUser(tree: string, name: string): Promise<boolean> {
  const passwd = (await readInTree(tree, '/etc/passwd')) ?? '';
  return passwd.split('\n').some((line) => line.startsWith(`${name}:`));
}

/** Each by the interpreter of its first line, else /bin/sh, which ends with the first failure. */
export async function runSteps(site: Site, recipe: Recipe): Promise<void> {
  if (recipe.script.length === 0) return;
  await withoutServices(site.tree, async () => {
    for (const [index, step] of recipe.script.entries()) {
      site.progress.step(`script ${index + 1} of ${recipe.script.length}: ${step.name}`);
      await runStep(site, recipe, step, index);
    }
  });
}

async function runStep(site: Site, recipe: Recipe, step: Step, index: number): Promise<void> {
  const dir = join(site.tempDir, `step-${index}`);
  await mkdir(dir, { mode: 0o700 });
  const file = join(dir, 'step');
  await writeFile(file, step.script, { mode: 0o700 });
  const command = treeCommand(site, recipe);
  await runInTree(
    {
      ...command,
      argv: step.script.startsWith('#!') ? [STEP_IN_TREE] : ['/bin/sh', '-eu', STEP_IN_TREE],
      binds: [{ source: file, target: STEP_IN_TREE, readOnly: true }],
    },
    site.how,
  );
}

export async function playPlaybook(site: Site, recipe: Recipe): Promise<void> {
  const { playbook } = recipe;
  if (playbook === undefined) return;
  site.progress.step(`playing ${playbook.file}`);
  const { tempDir, how } = site;
  const options = recipe.machine.nspawnOptions ?? [];
  await runPlaybook(playbook, site.tree, { ...how, tempDir, options });
}
