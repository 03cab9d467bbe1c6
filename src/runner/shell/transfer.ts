/** Caches and artifacts, moved by the `gitlab-runner` program in the machine. */
import { posix } from 'node:path';
import { archivedCaches, restoredCaches, uploadedArtifacts } from '../plan.ts';
import type { JobArtifacts, JobCache, JobDependency } from '../job.ts';
import { expand } from '../variables.ts';
import { valueOf, type ScriptContext } from './context.ts';
import { printLine, printNotice, printWarning, quote, quoteAll } from './quote.ts';

const CACHE_TIMEOUT_MIN = '10';

export function restoreCache(context: ScriptContext): readonly string[] {
  return inProject(context, 'Extracting cache', restoredCaches(context.response), (cache) =>
    cacheKeys(context, cache).reduceRight<readonly string[]>(
      (otherwise, key) => {
        const file = cacheFile(context, key);
        const command = quoteAll(['cache-extractor', '--file', file, ...cacheTimeout(context)]);
        return [
          printNotice(`Checking cache for ${key}...`),
          `if gitlab-runner ${command}; then`,
          `  ${printNotice('Successfully extracted cache')}`,
          'else',
          ...otherwise,
          'fi',
        ];
      },
      [printWarning('Failed to extract cache')],
    ),
  );
}

export function archiveCache(context: ScriptContext, isSuccess: boolean): readonly string[] {
  const caches = archivedCaches(context.response, isSuccess);
  return inProject(context, 'Creating cache', caches, (cache) => {
    const key = cacheKeys(context, cache)[0] ?? 'default';
    const options = ['--file', cacheFile(context, key), ...cacheTimeout(context)];
    const command = quoteAll(['cache-archiver', ...options, ...fileOptions(context, cache)]);
    return [
      printNotice(`Creating cache ${key}...`),
      `if gitlab-runner ${command}; then`,
      `  ${printNotice('Created cache')}`,
      'else',
      `  ${printWarning('Failed to create cache')}`,
      'fi',
    ];
  });
}

export function downloadArtifacts(context: ScriptContext): readonly string[] {
  const dependencies = (context.response.dependencies ?? []).filter(
    ({ artifacts_file: file }) => (file?.filename ?? '') !== '',
  );
  return inProject(context, 'Artifacts downloading', dependencies, (dependency: JobDependency) => {
    const { id, token, name } = dependency;
    const command = ['artifacts-downloader', ...server(context, token, String(id))];
    return [
      printNotice(`Downloading artifacts for ${name} (${id})...`),
      `gitlab-runner ${quoteAll(command)}`,
    ];
  });
}

export function uploadArtifacts(context: ScriptContext, isSuccess: boolean): readonly string[] {
  const { response } = context;
  const artifacts = uploadedArtifacts(response, isSuccess);
  return inProject(context, 'Uploading artifacts', artifacts, (item: JobArtifacts) => {
    const option = (name: string, value: string | undefined): readonly string[] =>
      value === undefined || value === '' ? [] : [name, expand(value, lookup(context))];
    const command = [
      'artifacts-uploader',
      ...server(context, response.token, String(response.id)),
      ...fileOptions(context, item),
      ...option('--name', item.name),
      ...option('--expire-in', item.expire_in),
      ...option('--artifact-format', item.artifact_format),
      ...option('--artifact-type', item.artifact_type),
    ];
    return [printNotice('Uploading artifacts...'), `gitlab-runner ${quoteAll(command)}`];
  });
}

/** A machine without the program skips with a warning, and the job passes: GitLab's own rule. */
function inProject<Item>(
  context: ScriptContext,
  what: string,
  items: readonly Item[],
  commands: (item: Item) => readonly string[],
): readonly string[] {
  const missing = `Missing gitlab-runner. ${what} is disabled.`;
  return [
    `mkdir -p ${quote(context.directories.project)}`,
    `cd ${quote(context.directories.project)}`,
    ...items.flatMap((item) => [
      'if gitlab-runner --version >/dev/null 2>&1; then',
      ...commands(item),
      'else',
      `  ${printWarning(missing)}`,
      'fi',
    ]),
    printLine(''),
  ];
}

function fileOptions(context: ScriptContext, item: JobCache | JobArtifacts): readonly string[] {
  const each = (name: string, values: readonly string[] | undefined): readonly string[] =>
    (values ?? []).flatMap((value) => [name, expand(value, lookup(context))]);
  return [
    ...each('--path', item.paths),
    ...('exclude' in item ? each('--exclude', item.exclude) : []),
    ...(item.untracked === true ? ['--untracked'] : []),
  ];
}

function server(context: ScriptContext, token: string, id: string): readonly string[] {
  return ['--url', context.serverUrl, '--token', token, '--id', id];
}

function cacheKeys(context: ScriptContext, cache: JobCache): readonly string[] {
  const key = cache.key === undefined || cache.key === '' ? 'default' : cache.key;
  return [key, ...(cache.fallback_keys ?? [])].map((text) => expand(text, lookup(context)));
}

/** Lexically relative to the project, as the Runner has it. */
function cacheFile({ directories }: ScriptContext, key: string): string {
  return posix.relative(directories.project, `${directories.cache}/${key}/cache.zip`);
}

function cacheTimeout(context: ScriptContext): readonly string[] {
  return ['--timeout', valueOf(context, 'CACHE_REQUEST_TIMEOUT') || CACHE_TIMEOUT_MIN];
}

function lookup({ variables }: ScriptContext): (name: string) => string | undefined {
  return (name) => variables.get(name)?.value;
}
