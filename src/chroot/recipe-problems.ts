/** What the schema of recipes does not see; read from the raw value, so that one run tells all problems. */
import type { Problem } from '../file-problems.ts';
import { SOURCE_KEYS } from './recipe-schema.ts';

type RawMap = Readonly<Record<string, unknown>>;

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** Without these three, apt takes a paragraph for no source at all. */
const SOURCE_FIELDS = ['Types', 'URIs', 'Suites'];

export function problemsBetweenKeys(value: unknown, name: string): readonly Problem[] {
  if (!isMap(value)) return [];
  return [
    ...sourceCountProblems(value),
    ...(value['extends'] === name
      ? [{ path: ['extends'], text: 'expected another recipe, got this one' }]
      : []),
    ...environmentProblems(value['environment']),
    ...enableProblems(value),
    ...fileProblems(value['files']),
    ...['debian', 'ubuntu'].flatMap((key) => extraSourceProblems(key, value[key])),
    ...repositoryProblems(value['fedora']),
    ...tarProblems(value['tar']),
    ...playbookProblems(value),
    ...refreshProblems(value),
    ...networkProblems(value['machine']),
  ];
}

function sourceCountProblems(value: RawMap): readonly Problem[] {
  const [first, ...others] = SOURCE_KEYS.filter((key) => value[key] !== undefined);
  if (first === undefined) {
    return [{ path: [], text: `expected one of ${SOURCE_KEYS.join(', ')}, got none` }];
  }
  return others.map((key) => ({
    path: [key],
    text: `expected one source, got "${key}" beside "${first}"`,
  }));
}

function environmentProblems(environment: unknown): readonly Problem[] {
  return Object.keys(isMap(environment) ? environment : {})
    .filter((name) => !VARIABLE.test(name))
    .map((name) => ({
      path: ['environment', name],
      text: 'expected a name of letters, digits and "_" before the colon',
    }));
}

function enableProblems({ enable, mask }: RawMap): readonly Problem[] {
  return listIn(enable).flatMap((unit, index) =>
    typeof unit === 'string' && listIn(mask).includes(unit)
      ? [{ path: ['enable', index], text: `"${unit}" is also under mask` }]
      : [],
  );
}

function fileProblems(files: unknown): readonly Problem[] {
  const entries = listIn(files);
  const paths = entries.map((file) => (isMap(file) ? file['path'] : undefined));
  return entries.flatMap((file, index) => {
    const problems: Problem[] = [];
    const path = paths[index];
    if (typeof path === 'string' && paths.indexOf(path) < index) {
      problems.push({ path: ['files', index, 'path'], text: `"${path}" stands here twice` });
    }
    if (!isMap(file)) return problems;
    const given = ['content', 'source'].filter((key) => file[key] !== undefined);
    if (given.length !== 1) {
      const got = given.length === 0 ? 'neither' : 'both';
      problems.push({ path: ['files', index], text: `expected content or source, got ${got}` });
    }
    return problems;
  });
}

function extraSourceProblems(key: string, source: unknown): readonly Problem[] {
  const extraSources = isMap(source) ? source['extra_sources'] : undefined;
  if (typeof extraSources !== 'string') return [];
  const path = [key, 'extra_sources'];
  return extraSources
    .split(/\n\s*\n/)
    .map((paragraph) => paragraph.replaceAll(/^#.*\n?/gm, '').trim())
    .filter((paragraph) => paragraph !== '')
    .flatMap((paragraph, index) => {
      const missing = SOURCE_FIELDS.filter(
        (field) => !new RegExp(`^${field}:`, 'im').test(paragraph),
      ).map((field) => `"${field}:"`);
      if (missing.length === 0) return [];
      const got = /^deb(?:-src)?\s/.test(paragraph) ? ', got the form of one line' : '';
      const text = `expected ${missing.join(' and ')} in paragraph ${index + 1}${got}`;
      return [{ path, text }];
    });
}

function repositoryProblems(fedora: unknown): readonly Problem[] {
  const repositories = listIn(isMap(fedora) ? fedora['repositories'] : undefined);
  const ids = repositories.map((repository) => (isMap(repository) ? repository['id'] : undefined));
  return repositories.flatMap((repository, index) => {
    if (!isMap(repository)) return [];
    const { id } = repository;
    const at = ['fedora', 'repositories', index];
    const problems: Problem[] = [];
    if ((repository['baseurl'] === undefined) === (repository['metalink'] === undefined)) {
      problems.push({ path: at, text: 'expected either baseurl or metalink' });
    }
    if (repository['gpgkey'] === undefined) {
      const text = 'expected the key of its packages, or "none" to install them unchecked';
      problems.push({ path: [...at, 'gpgkey'], text });
    }
    if (typeof id === 'string' && ids.indexOf(id) < index) {
      problems.push({ path: [...at, 'id'], text: `"${id}" stands here twice` });
    }
    return problems;
  });
}

/** A URL is only as good as what says which bytes are meant. */
function tarProblems(tar: unknown): readonly Problem[] {
  if (!isMap(tar)) return [];
  const { location, sha256, signature, keyring } = tar;
  const problems: Problem[] = [];
  const isRemote = typeof location === 'string' && /^https?:/.test(location);
  if (isRemote && sha256 === undefined && signature === undefined) {
    const text = 'expected a sha256, or a signature and its keyring, beside a URL';
    problems.push({ path: ['tar', 'location'], text });
  }
  if (signature !== undefined && keyring === undefined) {
    const text = 'expected the keyring that the signature is checked with, got nothing';
    problems.push({ path: ['tar', 'keyring'], text });
  }
  if (keyring !== undefined && signature === undefined) {
    const text = 'expected a signature that this keyring checks, got nothing';
    problems.push({ path: ['tar', 'signature'], text });
  }
  return problems;
}

function playbookProblems(value: RawMap): readonly Problem[] {
  return value['playbook_variables'] !== undefined && value['playbook'] === undefined
    ? [{ path: ['playbook_variables'], text: 'expected a playbook that they are for, got nothing' }]
    : [];
}

/** An upgrade in a copy needs a package manager that has something to upgrade from. */
function refreshProblems(value: RawMap): readonly Problem[] {
  const pinned = ['tar', 'oci'].find((key) => value[key] !== undefined);
  return value['update'] === 'refresh' && pinned !== undefined && value['packages'] === undefined
    ? [
        {
          path: ['update'],
          text: `expected "rebuild" for a tree from "${pinned}" without packages`,
        },
      ]
    : [];
}

/** Docker with all capabilities in the host's network rewrites the host's firewall. */
function networkProblems(machine: unknown): readonly Problem[] {
  if (!isMap(machine) || machine['profile'] !== 'nesting' || machine['network'] !== 'host')
    return [];
  const text =
    'expected "none" beside the profile "nesting", whose containers could change this host\'s firewall, got "host"';
  return [{ path: ['machine', 'network'], text }];
}

function isMap(value: unknown): value is RawMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function listIn(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}
