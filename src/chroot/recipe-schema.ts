/** The shape of a recipe. A schema's error is what it expects, as a noun, as in settings-schema.ts. */
import * as z from 'zod/mini';
import { LimitsMap } from '../limits-schema.ts';
import { duration } from '../schema-kinds.ts';
import {
  absolutePath,
  binds,
  listOf,
  nspawnOption,
  path,
  stepsOf,
  text,
  url,
  URL,
  yesNo,
} from './recipe-kinds.ts';

export const SOURCE_KEYS = ['debian', 'ubuntu', 'fedora', 'tar', 'oci', 'extends'] as const;

const SUITE = /^[a-z][a-z0-9.-]*$/;
const COMPONENT = /^[a-z][a-z0-9-]*$/;
/** A package as apt and dnf take it: name, name:arch, name=version, name/suite, name.arch. */
const PACKAGE = /^[A-Za-z0-9][A-Za-z0-9+._-]+(?::[a-z0-9-]+)?(?:[=/][A-Za-z0-9.+:~-]+)?$/;
const MODE = /^0?[0-7]{3,4}$/;
const UNIT = String.raw`[A-Za-z0-9:_.@\\-]+\.(?:service|socket|timer|mount|automount|path|target|swap|slice)`;
const ENABLE = new RegExp(`^${UNIT}$`);
const MASK = new RegExp(
  String.raw`^(?:(?:${UNIT}\.(?:wants|requires)/)?${UNIT}|system-generators/\w[\w.-]*)$`,
);
/** What apt.conf(5) calls an item, with a value: `Acquire::Retries "3"`. */
const APT_OPTION = /^[A-Za-z][\w:/.-]*\s+\S[^\n]*$/;
const CHROOT_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const LOCATION = /^(?:(?:https?|file):\/\/[^\s"'\\]+|[^:\0\n]+)$/;
const SHA256 = /^[0-9a-fA-F]{64}$/;
const USER_NAME = /^[a-z_][a-z0-9_-]{0,31}$/;
/** skopeo(1) "IMAGE NAMES", of those that need no daemon; without a transport it is a registry's. */
const IMAGE =
  /^(?!(?:containers-storage|docker-daemon|ostree|sif|tarball):)(?!(?:oci|oci-archive|dir|docker-archive):$)[^\s:/]\S*$/;

const dpkgTree = {
  suite: text('the name of a suite, such as bookworm', SUITE),
  mirror: z.optional(text(url, URL)),
  security_mirror: z.optional(
    z.union([z.literal('none'), z.string().check(z.regex(URL))], {
      error: 'a URL such as http://deb.debian.org/debian-security, or "none"',
    }),
  ),
  components: listOf('a component such as main', COMPONENT),
  keyring: z.optional(text(absolutePath, path)),
  extra_sources: z.optional(z.string({ error: 'paragraphs of sources.list(5), deb822' })),
  apt_options: listOf('an option of apt.conf(5), such as Acquire::Retries "3"', APT_OPTION),
  tool: z.optional(
    z.enum(['auto', 'mmdebstrap', 'debootstrap'], {
      error: '"auto", "mmdebstrap" or "debootstrap"',
    }),
  ),
};
const debian = z.strictObject(dpkgTree, { error: 'a map with at least a suite' });

const repository = z.strictObject(
  {
    id: text('letters, digits and hyphens', /^[A-Za-z0-9][A-Za-z0-9-]*$/),
    baseurl: z.optional(text(url, URL)),
    metalink: z.optional(text(url, URL)),
    gpgkey: z.optional(text('"none", a URL or an absolute path', LOCATION)),
  },
  { error: 'a map with id, gpgkey and baseurl or metalink' },
);
const fedora = z.strictObject(
  {
    release: text('a quoted release such as "42"', /^[A-Za-z0-9][A-Za-z0-9.]*$/),
    repositories: z.optional(z.array(repository, { error: 'a list of repositories' })),
    keyring: z.optional(text(absolutePath, path)),
  },
  { error: 'a map with at least a release' },
);

const tar = z.strictObject(
  {
    location: text('a URL, or a path on this host', LOCATION),
    sha256: z.optional(text('64 hexadecimal digits', SHA256)),
    signature: z.optional(text('a URL, or a path on this host', LOCATION)),
    keyring: z.optional(text(absolutePath, path)),
    strip_components: z.optional(
      z
        .int({ error: 'a whole number from 0 to 9' })
        .check(
          z.minimum(0, { error: 'a whole number from 0 to 9' }),
          z.maximum(9, { error: 'a whole number from 0 to 9' }),
        ),
    ),
  },
  { error: 'a map with a location and its sha256' },
);

const oci = z.strictObject(
  {
    image: text('an image such as debian:bookworm or oci:/srv/layout:tag', IMAGE),
    digest: z.optional(text('"sha256:" and 64 hexadecimal digits', /^sha256:[0-9a-f]{64}$/)),
    auth_file: z.optional(text(absolutePath, path)),
    tls_verify: yesNo,
  },
  { error: 'a map with an image' },
);

const file = z.strictObject(
  {
    path: text(absolutePath, path),
    content: z.optional(z.string({ error: 'a text' })),
    source: z.optional(text('the path of a file on this host', /^[^\0\n]+$/)),
    mode: z.optional(text('a quoted octal mode such as "0644"', MODE)),
  },
  { error: 'a map with path and content or source' },
);

const user = z.strictObject(
  {
    name: text('the name of a user', USER_NAME),
    uid: z.optional(
      z
        .int({ error: 'a whole number from 1 to 65533' })
        .check(
          z.minimum(1, { error: 'a whole number from 1 to 65533' }),
          z.maximum(65_533, { error: 'a whole number from 1 to 65533' }),
        ),
    ),
    groups: listOf('the name of a group', USER_NAME),
    home: z.optional(text(absolutePath, path)),
    shell: z.optional(text(absolutePath, path)),
    sudo: yesNo,
  },
  { error: 'a map with a name' },
);

const machine = z.strictObject(
  {
    limits: z.optional(LimitsMap),
    binds: binds,
    network: z.optional(z.enum(['host', 'none'], { error: '"host" or "none"' })),
    profile: z.optional(z.enum(['default', 'nesting'], { error: '"default" or "nesting"' })),
    shell: z.optional(z.enum(['bash', 'sh'], { error: '"bash" or "sh"' })),
    user: z.optional(text('the name of a user', USER_NAME)),
    boot_timeout: duration(
      { example: '60s', longest: '1h', zero: false },
      { description: 'How long a machine of this chroot may take to boot.' },
    ),
    suppress_sync: yesNo,
    seccomp: yesNo,
    nspawn_options: z.optional(z.array(nspawnOption, { error: 'a list of options' })),
  },
  { error: 'a map of settings for machines' },
);

/** For editors, `oneOf` says what recipe-problems.ts says of sources. */
export const RecipeFile = z
  .strictObject(
    {
      description: z.optional(z.string({ error: 'a text' })),
      debian: z.optional(debian),
      ubuntu: z.optional(z.strictObject(dpkgTree, { error: 'a map with at least a suite' })),
      fedora: z.optional(fedora),
      tar: z.optional(tar),
      oci: z.optional(oci),
      extends: z.optional(text('the name of a recipe', CHROOT_NAME)),
      packages: listOf('the name of a package', PACKAGE),
      user: z.optional(user),
      files: z.optional(z.array(file, { error: 'a list of files' })),
      script: stepsOf('a text: lines for /bin/sh, or a script with its "#!" line'),
      playbook: z.optional(text('the path of a playbook on this host', /^[^\0\n]+$/)),
      playbook_variables: z.optional(
        z.record(z.string(), z.unknown(), { error: 'a map of names to values' }),
      ),
      environment: z.optional(
        z.record(z.string(), text('a quoted text of one line', /^[^\0\n]*$/), {
          error: 'a map of names to texts',
        }),
      ),
      mask: listOf('a unit, a TARGET.wants/UNIT or a system-generators/NAME', MASK),
      enable: listOf('a unit with its suffix, such as nginx.service', ENABLE),
      machine: z.optional(machine),
      check: stepsOf('a text: lines for the shell that jobs get'),
      update: z.optional(z.enum(['rebuild', 'refresh'], { error: '"rebuild" or "refresh"' })),
      keep: z.optional(
        z
          .int({ error: 'a whole number from 0 to 100' })
          .check(
            z.minimum(0, { error: 'a whole number from 0 to 100' }),
            z.maximum(100, { error: 'a whole number from 0 to 100' }),
          ),
      ),
    },
    {
      error: ({ input }) =>
        Array.isArray(input)
          ? 'a map with one of debian, ubuntu, fedora, tar, oci and extends (a playbook is named below "playbook")'
          : 'a map with one of debian, ubuntu, fedora, tar, oci and extends',
    },
  )
  .check(z.meta({ oneOf: SOURCE_KEYS.map((key) => ({ required: [key] })) }));

export type RecipeFile = z.output<typeof RecipeFile>;
export type MachineMap = z.output<typeof machine>;

/** The keys of the maps inside, by where they are; an index stands as `[]`. */
const NESTED: Readonly<Record<string, readonly string[]>> = {
  debian: Object.keys(dpkgTree),
  ubuntu: Object.keys(dpkgTree),
  fedora: Object.keys(fedora.shape),
  'fedora.repositories.[]': Object.keys(repository.shape),
  tar: Object.keys(tar.shape),
  oci: Object.keys(oci.shape),
  user: Object.keys(user.shape),
  'files.[]': Object.keys(file.shape),
  machine: Object.keys(machine.shape),
  'machine.limits': Object.keys(LimitsMap.shape),
};

/** Keys of the map at `place`; at the top also those of the maps in it, for `did you mean`. */
export function recipeKeysAt(place: readonly (string | number)[]): readonly string[] {
  if (place.length > 0) {
    return NESTED[place.map((part) => (typeof part === 'number' ? '[]' : part)).join('.')] ?? [];
  }
  const deeper = Object.entries(NESTED).filter(([at]) => !at.includes('[]'));
  return [
    ...Object.keys(RecipeFile.shape),
    ...deeper.flatMap(([at, keys]) => keys.map((key) => `${at}.${key}`)),
  ];
}
