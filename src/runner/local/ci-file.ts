/** A .gitlab-ci.yml as `exec` reads it: its jobs, and one of them with all that it takes from others. */
import { SettingsError, UsageError } from '../../errors.ts';
import { fileProblems, nearest, type Problem } from '../../file-problems.ts';
import { parseYaml, REFERENCE, type YamlDocument, type YamlPath } from '../../yaml.ts';

export type CiMap = Readonly<Record<string, unknown>>;

export interface CiFile {
  readonly document: YamlDocument;
  readonly root: CiMap;
  /** In the file's order, without hidden ones. */
  readonly jobs: readonly string[];
}

/** What is wrong with a file, collected while it is read. */
export type Report = (path: YamlPath, text: string) => void;

const HINT = 'Correct the file; https://docs.gitlab.com/ci/yaml/ describes every keyword.';
/** Keywords of the top level that are not jobs, docs.gitlab.com/ci/yaml, "Global keywords". */
const GLOBAL_KEYWORDS = new Set([
  ...['default', 'include', 'stages', 'types', 'variables', 'workflow', 'spec'],
  ...['image', 'services', 'before_script', 'after_script', 'cache'],
]);
/** Keys of the top level that stand for the same key of every job. */
const GLOBAL_DEFAULTS = ['image', 'services', 'before_script', 'after_script', 'cache'];
const MAX_DEPTH = 10;

/** @throws SettingsError for text that is not a map in YAML. */
export function parseCiFile(text: string, file: string): CiFile {
  if (/^spec:/m.test(text) && /^---\s*$/m.test(text)) {
    throw new SettingsError(`${file} has a "spec:" header, and exec knows no inputs.`, {
      hint: 'Take the header and the line "---" away, and write values in place of `$[[ … ]]`.',
    });
  }
  const document = parseYaml(text, file, { dialect: 'gitlab-ci' });
  if (!isMap(document.value)) {
    throw new SettingsError(`${file} holds no jobs.`, { hint: HINT });
  }
  const root = document.value;
  const jobs = Object.keys(root).filter(
    (name) => !GLOBAL_KEYWORDS.has(name) && !name.startsWith('.') && isMap(root[name]),
  );
  return { document, root, jobs };
}

/** @throws UsageError for a job that is not there, with the ones that are. */
export function requireJob({ jobs, document, root }: CiFile, name: string): void {
  if (jobs.includes(name)) return;
  const isHidden = name.startsWith('.') && isMap(root[name]);
  const near = nearest(name, jobs);
  throw new UsageError(
    isHidden
      ? `Job "${name}" of ${document.file} is hidden: GitLab never runs it either.`
      : `There is no job "${name}" in ${document.file}.`,
    {
      details: [`Jobs there: ${jobs.join(', ') || 'none'}.`],
      hint:
        near === undefined
          ? 'Name one of these; jobs of included files are not known here.'
          : `Did you mean "${near}"?`,
    },
  );
}

/** Runs `read` and throws everything that it reports as one error. */
export function readAll<Value>(file: CiFile, read: (report: Report) => Value): Value {
  const problems: Problem[] = [];
  const value = read((path, text) => problems.push({ path, text }));
  if (problems.length > 0) throw fileProblems(file.document, problems, HINT);
  return value;
}

/** The job with its `!reference` tags, `extends` and defaults in it. */
export function composeJob(file: CiFile, name: string, report: Report): CiMap {
  const job = extendJob(file, name, report, []);
  return { ...inheritedDefaults(file, job, report), ...job };
}

/** A key of the top level, with its `!reference` tags in it. */
export function globalValue(file: CiFile, key: string, report: Report): unknown {
  return resolveReferences(file.root[key], { file, report, path: [key] }, 0);
}

export function isMap(value: unknown): value is CiMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Maps are merged, whatever else is replaced: docs.gitlab.com/ci/yaml/yaml_optimization. */
function mergeDeep(base: CiMap, over: CiMap): CiMap {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    merged[key] = isMap(below) && isMap(value) ? mergeDeep(below, value) : value;
  }
  return merged;
}

function extendJob(file: CiFile, name: string, report: Report, trail: readonly string[]): CiMap {
  const job = resolveReferences(file.root[name], { file, report, path: [name] }, 0);
  if (!isMap(job)) return {};
  const parents = namesIn(job['extends']);
  if (parents === undefined) report([name, 'extends'], 'expected a job name or a list of them');
  let merged: CiMap = {};
  for (const parent of parents ?? []) {
    if (trail.includes(parent) || parent === name || trail.length >= MAX_DEPTH) {
      report(
        [name, 'extends'],
        `"${parent}" goes in a circle or more than ${MAX_DEPTH} levels deep`,
      );
    } else if (!isMap(file.root[parent])) {
      report([name, 'extends'], `there is no job "${parent}" in this file`);
    } else {
      merged = mergeDeep(merged, extendJob(file, parent, report, [...trail, name]));
    }
  }
  const own = Object.fromEntries(Object.entries(job).filter(([key]) => key !== 'extends'));
  return mergeDeep(merged, own);
}

function inheritedDefaults(file: CiFile, job: CiMap, report: Report): CiMap {
  const inherit = isMap(job['inherit']) ? job['inherit']['default'] : undefined;
  if (inherit === false) return {};
  const given = globalValue(file, 'default', report);
  if (given !== undefined && !isMap(given)) report(['default'], 'expected a map of keywords');
  const globals = GLOBAL_DEFAULTS.filter((key) => file.root[key] !== undefined).map(
    (key) => [key, globalValue(file, key, report)] as const,
  );
  const defaults = { ...Object.fromEntries(globals), ...(isMap(given) ? given : {}) };
  const wanted = Array.isArray(inherit) ? new Set(inherit) : undefined;
  return Object.fromEntries(
    Object.entries(defaults).filter(([key]) => wanted === undefined || wanted.has(key)),
  );
}

interface Place {
  readonly file: CiFile;
  readonly report: Report;
  readonly path: YamlPath;
}

function resolveReferences(value: unknown, place: Place, depth: number): unknown {
  const below = (item: unknown, key: string | number): unknown =>
    resolveReferences(item, { ...place, path: [...place.path, key] }, depth);
  if (Array.isArray(value)) return value.map(below);
  if (!isMap(value)) return value;
  const target = (value as Readonly<Record<symbol, unknown>>)[REFERENCE];
  if (target === undefined) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, below(item, key)]));
  }
  const keys = namesIn(target) ?? [];
  let found: unknown = place.file.root;
  for (const key of keys) found = isMap(found) ? found[key] : undefined;
  if (found === undefined || keys.length === 0 || depth >= MAX_DEPTH) {
    const why = depth >= MAX_DEPTH ? 'goes in a circle' : 'names nothing in this file';
    place.report(place.path, `!reference [${keys.join(', ')}] ${why}`);
    return undefined;
  }
  return resolveReferences(found, place, depth + 1);
}

function namesIn(value: unknown): readonly string[] | undefined {
  if (value === undefined) return [];
  if (typeof value === 'string') return [value];
  if (!Array.isArray(value)) return undefined;
  return value.every((item) => typeof item === 'string') ? value : undefined;
}
