/** Everything that is wrong with one file, each with line, key, what is expected and what is there. */
import { SettingsError } from './errors.ts';
import type { YamlDocument, YamlPath } from './yaml.ts';

const MAX_GOT_LENGTH = 60;

export interface Problem {
  readonly path: YamlPath;
  /** What is wrong, without the final period: `expected a name, got 12`. */
  readonly text: string;
}

/** What is read of a zod issue; its message is what is expected, as a noun: `a name`. */
export interface SchemaIssue {
  readonly code?: string | undefined;
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly keys?: readonly string[] | undefined;
}

/** One error for all problems of a file. */
export function fileProblems(
  { file, lineOf }: Pick<YamlDocument, 'file' | 'lineOf'>,
  problems: readonly Problem[],
  hint: string,
): SettingsError {
  const lines = [...problems]
    .map((problem) => ({ ...problem, line: nearestLine(lineOf, problem.path) }))
    .sort((a, b) => (a.line ?? 0) - (b.line ?? 0))
    .map(({ line, path, text }) => {
      const place = line === undefined ? file : `${file} line ${line}`;
      const key = path.length === 0 ? '' : `, ${keyText(path)}`;
      return `${place}${key}: ${text}${text.endsWith('?') ? '' : '.'}`;
    });
  const [only] = lines;
  return lines.length === 1 && only !== undefined
    ? new SettingsError(only, { hint })
    : new SettingsError(`${file} has ${lines.length} problems.`, { details: lines, hint });
}

/**
 * Issues of a schema as problems; `keysAt` gives the keys that a map may have, and with dots those of
 * the maps in it, one of which a person may have meant.
 */
export function schemaProblems(
  value: unknown,
  issues: readonly SchemaIssue[],
  keysAt: (path: YamlPath) => readonly string[],
): readonly Problem[] {
  return issues.flatMap((issue) => {
    const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
    if (issue.code === 'unrecognized_keys') {
      return (issue.keys ?? []).map((key) => ({
        path: [...path, key],
        text: unknownKey(key, keysAt(path)),
      }));
    }
    return [{ path, text: `expected ${issue.message}, got ${show(valueAt(value, path))}` }];
  });
}

/** The one of `known` that a person probably meant; undefined where nothing is near. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const limit = Math.max(1, Math.floor(word.length / 3));
  const ranked = known
    .map((name) => {
      const last = name.slice(name.lastIndexOf('.') + 1);
      return { name, distance: Math.min(editDistance(word, name), editDistance(word, last)) };
    })
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance);
  return ranked[0]?.name;
}

function unknownKey(key: string, known: readonly string[]): string {
  const near = nearest(key, known);
  return near === undefined
    ? `unknown key; the keys here are ${known.filter((name) => !name.includes('.')).join(', ')}`
    : `unknown key; did you mean "${near}"?`;
}

function nearestLine(lineOf: YamlDocument['lineOf'], path: YamlPath): number | undefined {
  for (let length = path.length; length > 0; length -= 1) {
    const line = lineOf(path.slice(0, length));
    if (line !== undefined) return line;
  }
  return undefined;
}

function keyText(path: YamlPath): string {
  return path
    .map((part, index) => {
      if (typeof part === 'number') return `[${part}]`;
      const text = /^[\w-]+$/.test(part) ? part : JSON.stringify(part);
      return index === 0 ? text : `.${text}`;
    })
    .join('');
}

function valueAt(value: unknown, path: YamlPath): unknown {
  let at = value;
  for (const part of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) return undefined;
    at = (at as Readonly<Record<string | number, unknown>>)[part];
  }
  return at;
}

function show(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  const text = typeof value === 'number' ? String(value) : JSON.stringify(value);
  return text.length > MAX_GOT_LENGTH ? `${text.slice(0, MAX_GOT_LENGTH)}…` : text;
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
