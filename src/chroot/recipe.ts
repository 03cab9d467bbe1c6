/** What a recipe says, whatever kind of file it was written in. */
import { createHash } from 'node:crypto';
import { dirname, isAbsolute, join } from 'node:path';
import { fileProblems, schemaProblems, type Problem } from '../file-problems.ts';
import { limitsOf } from '../settings.ts';
import { parseYaml } from '../yaml.ts';
import type { ImageBind, ImageSettings } from './image-settings.ts';
import { problemsBetweenKeys } from './recipe-problems.ts';
import { RecipeFile, recipeKeysAt, type MachineMap } from './recipe-schema.ts';
import { sourceOf } from './recipe-source.ts';
import type { Source } from './source.ts';

export interface RecipeFileEntry {
  /** In the tree. */
  readonly path: string;
  /** One of the two is there; `source` is absolute, on this host. */
  readonly content: string | undefined;
  readonly source: string | undefined;
  /** Undefined takes the mode of `source`, else 0644. */
  readonly mode: number | undefined;
}

export interface Step {
  /** Its first line that says something, for people. */
  readonly name: string;
  readonly script: string;
}

export interface Playbook {
  /** Absolute, on this host. */
  readonly file: string;
  readonly variables: Readonly<Record<string, unknown>>;
}

export interface RecipeUser {
  readonly name: string;
  readonly uid: number | undefined;
  readonly groups: readonly string[];
  readonly home: string;
  readonly shell: string;
  /** May become root without a password. */
  readonly sudo: boolean;
}

export interface Recipe {
  readonly name: string;
  readonly file: string;
  /** Of the file's bytes, hexadecimal. */
  readonly sha256: string;
  readonly description: string | undefined;
  readonly source: Source;
  readonly packages: readonly string[];
  readonly user: RecipeUser | undefined;
  readonly files: readonly RecipeFileEntry[];
  readonly script: readonly Step[];
  readonly playbook: Playbook | undefined;
  readonly environment: Readonly<Record<string, string>>;
  /** Units, `TARGET.wants/UNIT` or `system-generators/NAME`. */
  readonly mask: readonly string[];
  readonly enable: readonly string[];
  readonly machine: ImageSettings;
  readonly check: readonly Step[];
  readonly update: 'rebuild' | 'refresh';
  /** Old versions that stay though no job uses them. */
  readonly keep: number;
}

export const RECIPE_HINT = 'Correct it; docs/recipes.md has every key.';
export const DEFAULT_KEEP = 1;

/**
 * What the text of a recipe says.
 * @throws SettingsError with every problem of the file.
 */
export function parseRecipe(name: string, file: string, text: string): Recipe {
  const document = parseYaml(text, file);
  const value = document.value ?? {};
  const parsed = RecipeFile.safeParse(value);
  const problems: readonly Problem[] = [
    ...(parsed.success ? [] : schemaProblems(value, parsed.error.issues, recipeKeysAt)),
    ...problemsBetweenKeys(value, name),
  ];
  if (!parsed.success || problems.length > 0) {
    throw fileProblems(document, problems, RECIPE_HINT);
  }
  return recipeOf(name, file, text, parsed.data);
}

function recipeOf(name: string, file: string, text: string, said: RecipeFile): Recipe {
  const onHost = (path: string): string => (isAbsolute(path) ? path : join(dirname(file), path));
  const { user } = said;
  return {
    name,
    file,
    sha256: createHash('sha256').update(text).digest('hex'),
    description: said.description,
    source: sourceOf(said, onHost),
    packages: said.packages ?? [],
    user: user && {
      name: user.name,
      uid: user.uid,
      groups: user.groups ?? [],
      home: user.home ?? `/home/${user.name}`,
      shell: user.shell ?? '/bin/bash',
      sudo: user.sudo ?? false,
    },
    files: (said.files ?? []).map(({ path, content, source, mode }) => ({
      path,
      content,
      source: source === undefined ? undefined : onHost(source),
      mode: mode === undefined ? undefined : parseInt(mode, 8),
    })),
    script: (said.script ?? []).map(stepOf),
    playbook:
      said.playbook === undefined
        ? undefined
        : { file: onHost(said.playbook), variables: said.playbook_variables ?? {} },
    environment: said.environment ?? {},
    mask: said.mask ?? [],
    enable: said.enable ?? [],
    machine: imageSettings(said.machine),
    check: (said.check ?? []).map(stepOf),
    update: said.update ?? 'rebuild',
    keep: said.keep ?? DEFAULT_KEEP,
  };
}

function stepOf(script: string): Step {
  const lines = script.split('\n').map((line) => line.trim());
  const name = lines.find((line) => line !== '' && !line.startsWith('#!')) ?? script.trim();
  return { name: name.replace(/^#+\s*/, ''), script };
}

function imageSettings(machine: MachineMap | undefined): ImageSettings {
  return {
    format: 1,
    limits: machine?.limits && limitsOf(machine.limits),
    binds: machine?.binds?.map(bindOf),
    network: machine?.network,
    profile: machine?.profile,
    shell: machine?.shell,
    user: machine?.user,
    bootTimeoutSec: machine?.boot_timeout,
    suppressSync: machine?.suppress_sync,
    seccomp: machine?.seccomp,
    nspawnOptions: machine?.nspawn_options,
  };
}

function bindOf(text: string): ImageBind {
  const [source = '', target = '', mode] = text.split(':');
  return { source, target, readOnly: mode === 'ro' };
}
