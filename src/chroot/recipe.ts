/** Recipes: where they are found, and what one of them says. */
import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { SettingsError, UsageError } from '../errors.ts';
import { fileProblems, nearest, schemaProblems, type Problem } from '../file-problems.ts';
import { parseYaml } from '../yaml.ts';
import { RecipeFile, recipeKeysAt } from './recipe-schema.ts';
import { isChrootName } from './store.ts';

export interface DebianSource {
  readonly suite: string;
  /** Undefined takes the operator's mirror, else Debian's. */
  readonly mirror: string | undefined;
  /** Undefined takes the one beside the mirror; `none` leaves security updates out. */
  readonly securityMirror: string | undefined;
  readonly components: readonly string[];
  /** On this host; the same path in the tree. */
  readonly keyring: string;
  /** deb822 paragraphs, sources.list(5). */
  readonly extraSources: string | undefined;
  readonly aptOptions: readonly string[];
}

export interface RecipeFileEntry {
  readonly path: string;
  readonly content: string;
  readonly mode: number;
}

export interface Recipe {
  readonly name: string;
  readonly file: string;
  /** Of the file's bytes, hexadecimal. */
  readonly sha256: string;
  readonly debian: DebianSource;
  readonly packages: readonly string[];
  readonly files: readonly RecipeFileEntry[];
  readonly environment: Readonly<Record<string, string>>;
  /** Units, `TARGET.wants/UNIT` or `system-generators/NAME`. */
  readonly mask: readonly string[];
  readonly enable: readonly string[];
}

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;
const HINT = 'Correct it; docs/recipes.md has every key.';
/** Without these three, apt takes a paragraph for no source at all. */
const SOURCE_FIELDS = ['Types', 'URIs', 'Suites'];

/**
 * Reads the first NAME.yaml of `dirs`.
 * @throws UsageError when there is none, SettingsError with every problem of the file.
 */
export async function loadRecipe(name: string, dirs: readonly string[]): Promise<Recipe> {
  if (!isChrootName(name)) {
    throw new UsageError(`"${name}" cannot be the name of a chroot.`, {
      hint: 'Use at most 64 letters, digits, ".", "_" and "-", the first a letter or a digit.',
    });
  }
  for (const dir of dirs) {
    const file = join(dir, `${name}.yaml`);
    const text = await readIfThere(file);
    if (text !== undefined) return parseRecipe(name, file, text);
  }
  throw await missingRecipe(name, dirs);
}

/**
 * What the text of a recipe says.
 * @throws SettingsError with every problem of the file.
 */
export function parseRecipe(name: string, file: string, text: string): Recipe {
  const document = parseYaml(text, file);
  const parsed = RecipeFile.safeParse(document.value ?? {});
  const problems = [
    ...(parsed.success ? [] : schemaProblems(document.value, parsed.error.issues, recipeKeysAt)),
    ...problemsBetweenKeys(document.value),
  ];
  if (!parsed.success || problems.length > 0) throw fileProblems(document, problems, HINT);
  const { debian, files, ...recipe } = parsed.data;
  return {
    name,
    file,
    sha256: createHash('sha256').update(text).digest('hex'),
    debian: {
      suite: debian.suite,
      mirror: debian.mirror,
      securityMirror: debian.security_mirror,
      components: debian.components ?? ['main'],
      keyring: debian.keyring ?? KEYRING,
      extraSources: debian.extra_sources,
      aptOptions: debian.apt_options ?? [],
    },
    packages: recipe.packages ?? [],
    files: (files ?? []).map(({ path, content, mode }) => ({
      path,
      content,
      mode: parseInt(mode ?? '0644', 8),
    })),
    environment: recipe.environment ?? {},
    mask: recipe.mask ?? [],
    enable: recipe.enable ?? [],
  };
}

/** What a schema does not see; read from the raw value, so that one run tells all problems. */
function problemsBetweenKeys(value: unknown): readonly Problem[] {
  if (!isMap(value)) return [];
  const { environment, enable, mask, debian, files } = value;
  const problems: Problem[] = [];
  for (const name of isMap(environment) ? Object.keys(environment) : []) {
    if (!VARIABLE.test(name)) {
      const text = 'expected a name of letters, digits and "_" before the colon';
      problems.push({ path: ['environment', name], text });
    }
  }
  for (const [index, unit] of listIn(enable).entries()) {
    if (listIn(mask).includes(unit)) {
      problems.push({ path: ['enable', index], text: `"${String(unit)}" is also under mask` });
    }
  }
  const paths = listIn(files).map((file) => (isMap(file) ? file['path'] : undefined));
  for (const [index, path] of paths.entries()) {
    if (typeof path === 'string' && paths.indexOf(path) < index) {
      problems.push({ path: ['files', index, 'path'], text: `"${path}" stands here twice` });
    }
  }
  return [...problems, ...sourceProblems(isMap(debian) ? debian['extra_sources'] : undefined)];
}

function sourceProblems(extraSources: unknown): readonly Problem[] {
  if (typeof extraSources !== 'string') return [];
  const path = ['debian', 'extra_sources'];
  return extraSources
    .split(/\n\s*\n/)
    .map((paragraph) => paragraph.replaceAll(/^#.*\n?/gm, '').trim())
    .filter((paragraph) => paragraph !== '')
    .flatMap((paragraph, index) =>
      SOURCE_FIELDS.filter((field) => !new RegExp(`^${field}:`, 'im').test(paragraph)).map(
        (field) => ({ path, text: `expected "${field}:" in paragraph ${index + 1}` }),
      ),
    );
}

async function missingRecipe(name: string, dirs: readonly string[]): Promise<UsageError> {
  const found = await Promise.all(dirs.map((dir) => readdir(dir).catch(() => [])));
  const names = [...new Set(found.flat())]
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => file.slice(0, -'.yaml'.length))
    .sort();
  const near = nearest(name, names);
  return new UsageError(`There is no recipe "${name}".`, {
    details: [
      `Recipes: ${names.length === 0 ? 'none' : names.join(', ')}.`,
      `Searched: ${dirs.join(', ')}.`,
    ],
    hint:
      near === undefined
        ? `Write "${join(dirs[0] ?? '', `${name}.yaml`)}"; docs/recipes.md shows how.`
        : `Did you mean "${near}"?`,
  });
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new SettingsError(`Recipe "${file}" cannot be read.`, {
      details: [message],
      hint: 'Let root read it, or remove it.',
      cause: error,
    });
  }
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function listIn(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}
