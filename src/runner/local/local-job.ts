/** One job of a .gitlab-ci.yml, checked and typed. */
import type { JobArtifacts, JobCache, When } from '../job.ts';
import type { CiFile, CiMap, Report } from './ci-file.ts';
import { composeJob, globalValue, isMap, readAll, requireJob } from './ci-file.ts';
import { ignoredKeywords } from './job-keywords.ts';
import { humanDurationSec } from './human-duration.ts';
import type { CiVariable } from './local-variables.ts';

export interface LocalJob {
  readonly name: string;
  readonly stage: string;
  /** Before variables are expanded. */
  readonly image: string | undefined;
  /** before_script and script. */
  readonly script: readonly string[];
  readonly afterScript: readonly string[];
  /** Global ones first; the last of a name wins. */
  readonly variables: readonly CiVariable[];
  readonly artifacts: JobArtifacts | undefined;
  readonly caches: readonly JobCache[];
  readonly timeoutSec: number | undefined;
  /** One line for each keyword that has no effect here. */
  readonly ignored: readonly string[];
}

const MAX_NESTING = 10;
const WHEN: readonly When[] = ['on_success', 'on_failure', 'always'];
const POLICY: readonly ('pull' | 'push' | 'pull-push')[] = ['pull', 'push', 'pull-push'];

/**
 * Reads one job.
 * @throws UsageError for a job that is not there, SettingsError with every problem of the job.
 */
export function readLocalJob(file: CiFile, name: string): LocalJob {
  requireJob(file, name);
  return readAll(file, (report) => {
    const job = composeJob(file, name, report);
    const reader: Reader = { job, at: [name], report };
    const script = [...readScript(reader, 'before_script'), ...readScript(reader, 'script')];
    if (job['script'] === undefined) report([name], `expected "script", got ${withoutScript(job)}`);
    return {
      name,
      stage: readText(reader, 'stage') ?? 'test',
      image: isMap(job['image'])
        ? readText({ ...reader, job: job['image'], at: [name, 'image'] }, 'name')
        : readText(reader, 'image'),
      script,
      afterScript: readScript(reader, 'after_script'),
      variables: [...globalVariables(file, job, report), ...readVariables(reader)],
      artifacts: readArtifacts(reader),
      caches: readCaches(reader),
      timeoutSec: readTimeout(reader),
      ignored: ignoredKeywords(file.root, job),
    };
  });
}

interface Reader {
  readonly job: CiMap;
  readonly at: readonly (string | number)[];
  readonly report: Report;
}

function withoutScript(job: CiMap): string {
  if (job['trigger'] !== undefined) return 'a job that triggers a pipeline';
  return job['run'] === undefined ? 'a job without one' : 'a job with "run"';
}

function readText({ job, at, report }: Reader, key: string): string | undefined {
  const value = job[key];
  if (value === undefined || value === null || typeof value === 'string') return value ?? undefined;
  report([...at, key], 'expected text');
  return undefined;
}

function readScript(reader: Reader, key: string): readonly string[] {
  const value = reader.job[key];
  if (value === undefined || value === null) return [];
  return flatten(value, { ...reader, at: [...reader.at, key] }, 0);
}

function flatten(value: unknown, reader: Reader, depth: number): readonly string[] {
  if (typeof value === 'string') return [value];
  if (Array.isArray(value) && depth < MAX_NESTING) {
    return value.flatMap((item, index) =>
      flatten(item, { ...reader, at: [...reader.at, index] }, depth + 1),
    );
  }
  const got = isMap(value) ? 'a map; put the command in quotes' : `"${String(value)}"`;
  reader.report(reader.at, `expected a command or a list of them, got ${got}`);
  return [];
}

function globalVariables(file: CiFile, job: CiMap, report: Report): readonly CiVariable[] {
  const inherit = isMap(job['inherit']) ? job['inherit']['variables'] : undefined;
  if (inherit === false) return [];
  const variables = globalValue(file, 'variables', report);
  const all = readVariables({ job: { variables }, at: [], report });
  return Array.isArray(inherit) ? all.filter(({ key }) => inherit.includes(key)) : all;
}

function readVariables({ job, at, report }: Reader): readonly CiVariable[] {
  const map = job['variables'] ?? {};
  if (!isMap(map)) {
    report([...at, 'variables'], 'expected a map of names and values');
    return [];
  }
  return Object.entries(map).flatMap(([key, given]) => {
    const path = [...at, 'variables', key];
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(key)) {
      report(path, 'expected a name of letters, digits and "_"');
    }
    const value = isMap(given) ? (given['value'] ?? '') : given;
    const raw = isMap(given) && given['expand'] === false;
    if (!['string', 'number', 'boolean'].includes(typeof value)) {
      report(path, 'expected text or a number');
      return [];
    }
    return [{ key, value: String(value), raw }];
  });
}

function readArtifacts(outer: Reader): JobArtifacts | undefined {
  const reader = inner(outer, 'artifacts');
  if (reader === undefined) return undefined;
  return {
    paths: readTexts(reader, 'paths'),
    exclude: readTexts(reader, 'exclude'),
    untracked: reader.job['untracked'] === true,
    when: readOneOf(reader, 'when', WHEN) ?? 'on_success',
  };
}

function readCaches(outer: Reader): readonly JobCache[] {
  const value = outer.job['cache'];
  const maps: readonly unknown[] = Array.isArray(value) ? value : [value];
  return maps.flatMap((map, index) => {
    if (map === undefined || map === null) return [];
    const at = Array.isArray(value) ? ['cache', index] : ['cache'];
    if (!isMap(map)) {
      outer.report([...outer.at, ...at], 'expected a map');
      return [];
    }
    const reader: Reader = { ...outer, job: map, at: [...outer.at, ...at] };
    const key = isMap(map['key']) ? undefined : readText(reader, 'key');
    if (isMap(map['key'])) {
      reader.report([...reader.at, 'key'], 'exec takes text for a key, not files');
    }
    return [
      {
        key: key ?? 'default',
        paths: readTexts(reader, 'paths'),
        untracked: map['untracked'] === true,
        policy: readOneOf(reader, 'policy', POLICY) ?? 'pull-push',
        when: readOneOf(reader, 'when', WHEN) ?? 'on_success',
        fallback_keys: readTexts(reader, 'fallback_keys'),
      },
    ];
  });
}

function readTimeout(reader: Reader): number | undefined {
  const text = readText(reader, 'timeout');
  const sec = text === undefined ? undefined : humanDurationSec(text);
  if (text !== undefined && sec === undefined) {
    reader.report([...reader.at, 'timeout'], `expected a time such as 1h 30m, got "${text}"`);
  }
  return sec;
}

function inner(outer: Reader, key: string): Reader | undefined {
  const value = outer.job[key];
  if (value === undefined || value === null) return undefined;
  const at = [...outer.at, key];
  if (isMap(value)) return { ...outer, job: value, at };
  outer.report(at, 'expected a map');
  return undefined;
}

function readTexts({ job, at, report }: Reader, key: string): readonly string[] {
  const value = job[key] ?? [];
  const items: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (items.every((item) => typeof item === 'string')) return items;
  report([...at, key], 'expected a list of texts');
  return [];
}

function readOneOf<Word extends string>(
  { job, at, report }: Reader,
  key: string,
  words: readonly Word[],
): Word | undefined {
  const value = job[key];
  if (value === undefined) return undefined;
  const word = words.find((known) => known === value);
  if (word !== undefined) return word;
  report([...at, key], `expected one of ${words.join(', ')}`);
  return undefined;
}
