/** The shape of a recipe. A schema's error is what it expects, as a noun, as in settings-schema.ts. */
import * as z from 'zod/mini';

const SUITE = /^[a-z][a-z0-9.-]*$/;
const COMPONENT = /^[a-z][a-z0-9-]*$/;
const URL = /^(?:https?|file):\/\/[^\s"'\\]+$/;
/** A package as apt takes it: name, name:arch, name=version, name/suite. */
const PACKAGE = /^[a-z0-9][a-z0-9+.-]+(?::[a-z0-9-]+)?(?:[=/][A-Za-z0-9.+:~-]+)?$/;
/** Absolute, with neither "." nor ".." nor an empty part. */
const PATH = /^(?:\/(?!\.{1,2}(?:\/|$))[^/\0\n]+)+$/;
const MODE = /^0?[0-7]{3,4}$/;
const UNIT = String.raw`[A-Za-z0-9:_.@\\-]+\.(?:service|socket|timer|mount|automount|path|target|swap|slice)`;
const ENABLE = new RegExp(`^${UNIT}$`);
const MASK = new RegExp(
  String.raw`^(?:(?:${UNIT}\.(?:wants|requires)/)?${UNIT}|system-generators/\w[\w.-]*)$`,
);
/** What apt.conf(5) calls an item, with a value: `Acquire::Retries "3"`. */
const APT_OPTION = /^[A-Za-z][\w:/.-]*\s+\S[^\n]*$/;

const text = (expected: string, pattern: RegExp) =>
  z.string({ error: expected }).check(z.regex(pattern, { error: expected }));
const listOf = (expected: string, pattern: RegExp) =>
  z.optional(z.array(text(expected, pattern), { error: `a list, each item ${expected}` }));

const url = 'a URL such as http://deb.debian.org/debian';
const absolutePath = 'an absolute path without "." and ".."';

const debian = z.strictObject(
  {
    suite: text('the name of a suite, such as bookworm', SUITE),
    mirror: z.optional(text(url, URL)),
    security_mirror: z.optional(
      z.union([z.literal('none'), z.string().check(z.regex(URL))], {
        error: 'a URL such as http://deb.debian.org/debian-security, or "none"',
      }),
    ),
    components: listOf('a component such as main', COMPONENT),
    keyring: z.optional(text(absolutePath, PATH)),
    extra_sources: z.optional(z.string({ error: 'paragraphs of sources.list(5), deb822' })),
    apt_options: listOf('an option of apt.conf(5), such as Acquire::Retries "3"', APT_OPTION),
  },
  { error: 'a map with at least a suite' },
);

const file = z.strictObject(
  {
    path: text(absolutePath, PATH),
    content: z.string({ error: 'a text' }),
    mode: z.optional(text('a quoted octal mode such as "0644"', MODE)),
  },
  { error: 'a map with path and content' },
);

export const RecipeFile = z.strictObject(
  {
    description: z.optional(z.string({ error: 'a text' })),
    debian,
    packages: listOf('the name of a package', PACKAGE),
    files: z.optional(z.array(file, { error: 'a list of files' })),
    environment: z.optional(
      z.record(z.string(), text('a quoted text of one line', /^[^\0\n]*$/), {
        error: 'a map of names to texts',
      }),
    ),
    mask: listOf('a unit, a TARGET.wants/UNIT or a system-generators/NAME', MASK),
    enable: listOf('a unit with its suffix, such as nginx.service', ENABLE),
  },
  { error: 'a map with at least "debian"' },
);

export type RecipeFile = z.output<typeof RecipeFile>;

const recipeKeys = Object.keys(RecipeFile.shape);
const debianKeys = Object.keys(debian.shape);
const fileKeys = Object.keys(file.shape);

/** Keys of the map at `path`; at the top also those of `debian`, for `did you mean`. */
export function recipeKeysAt(path: readonly (string | number)[]): readonly string[] {
  if (path.length === 0) return [...recipeKeys, ...debianKeys.map((key) => `debian.${key}`)];
  return path[0] === 'debian' ? debianKeys : fileKeys;
}
