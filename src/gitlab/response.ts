/**
 * The job response: GitLab Runner's own encoding of the job (14.1 and newer), the one source that
 * the job's author cannot write to. Read by hand: a schema library would cost each stage more than
 * the eight fields are worth. Messages never quote the text, which holds the job's token.
 */
import { HostError } from '../errors.ts';

export interface JobResponse {
  /** Decimal text of up to 19 digits. */
  readonly id: string;
  /** Decimal text. */
  readonly projectId: string;
  /** `group/project`; newer GitLab Runners only. */
  readonly projectPath: string | undefined;
  readonly name: string;
  /** Holds the job's token. */
  readonly repoUrl: string;
  readonly image: string | undefined;
  readonly timeoutSec: number | undefined;
  /** Artifacts to upload, a cache, or artifacts of other jobs to download. */
  readonly movesFiles: boolean;
  /** Images of `services:`. */
  readonly services: readonly string[];
}

export interface ResponseSource {
  readonly file: string;
  readonly runnerVersion: string | undefined;
}

type Fields = Readonly<Record<string, unknown>>;

/** JSON.parse rounds integers beyond 2^53, which have 16 digits or more. */
const LONG_NUMBER = /-?\d[\d.eE+-]{15,}/g;
const INTEGER = /^-?\d+$/;
const DECIMAL_ID = /^(?:0|[1-9]\d{0,18})$/;

/** @throws HostError that names the file and the version of GitLab Runner. */
export function parseResponse(text: string, source: ResponseSource): JobResponse {
  const response = parseJson(text, source);
  const jobInfo = fields(response['job_info']);
  const name = jobInfo['name'];
  const projectPath = jobInfo['project_full_path'];
  const repoUrl = fields(response['git_info'])['repo_url'];
  const image = fields(response['image'])['name'];
  const timeout = fields(response['runner_info'])['timeout'];
  return {
    id: decimalId(response['id'], 'id', source),
    projectId: decimalId(jobInfo['project_id'], 'job_info.project_id', source),
    projectPath: typeof projectPath === 'string' && projectPath !== '' ? projectPath : undefined,
    name: typeof name === 'string' ? name : '',
    repoUrl: typeof repoUrl === 'string' ? repoUrl : '',
    image: typeof image === 'string' && image !== '' ? image : undefined,
    timeoutSec: typeof timeout === 'number' && timeout > 0 ? timeout : undefined,
    movesFiles: movesFiles(response),
    services: items(response['services']).flatMap(({ name }) =>
      typeof name === 'string' ? [name] : [],
    ),
  };
}

/** Makes text of every integer of 16 digits or more, so that JSON.parse keeps its digits. */
export function quoteLongIntegers(text: string): string {
  const pieces: string[] = [];
  let from = 0;
  while (from < text.length) {
    const start = text.indexOf('"', from);
    const outside = text.slice(from, start === -1 ? text.length : start);
    pieces.push(
      outside.replace(LONG_NUMBER, (number) => (INTEGER.test(number) ? `"${number}"` : number)),
    );
    if (start === -1) break;
    const end = stringEnd(text, start);
    pieces.push(text.slice(start, end));
    from = end;
  }
  return pieces.join('');
}

/** Where the string that opens at `start` has ended. */
function stringEnd(text: string, start: number): number {
  let quote = start;
  for (;;) {
    quote = text.indexOf('"', quote + 1);
    if (quote === -1) return text.length;
    let escapes = quote;
    while (text[escapes - 1] === '\\') escapes -= 1;
    if ((quote - escapes) % 2 === 0) return quote + 1;
  }
}

function parseJson(text: string, source: ResponseSource): Fields {
  let value: unknown;
  try {
    value = JSON.parse(quoteLongIntegers(text));
  } catch {
    // V8 quotes the text in its message, and the text holds the token: no cause here.
    throw unusable('is not JSON', source);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw unusable('is not a JSON object', source);
  }
  return value as Fields;
}

function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function items(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.map(fields) : [];
}

function decimalId(value: unknown, key: string, source: ResponseSource): string {
  const text = typeof value === 'number' || typeof value === 'string' ? String(value) : '';
  if (DECIMAL_ID.test(text)) return text;
  throw unusable(value === undefined ? `lacks "${key}"` : `has no number in "${key}"`, source);
}

function movesFiles(response: Fields): boolean {
  const takes = ({ paths, untracked }: Fields): boolean =>
    untracked === true || (Array.isArray(paths) && paths.length > 0);
  const gives = (dependency: Fields): boolean => {
    const name = fields(dependency['artifacts_file'])['filename'];
    return typeof name === 'string' && name !== '';
  };
  return (
    items(response['artifacts']).some(takes) ||
    items(response['cache']).some(takes) ||
    items(response['dependencies']).some(gives)
  );
}

function unusable(problem: string, { file, runnerVersion }: ResponseSource): HostError {
  return new HostError(`Job response file "${file}" ${problem}.`, {
    details: [`It was written by GitLab Runner ${runnerVersion ?? 'of an unknown version'}.`],
    hint: 'Use GitLab Runner 14.1 or newer; if it is, report this together with the version.',
  });
}
