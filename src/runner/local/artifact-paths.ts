/** `artifacts:paths` and `artifacts:exclude`: GitLab's patterns as regular expressions of find(1). */
import { posix } from 'node:path';
import type { JobArtifacts } from '../job.ts';
import type { ScriptContext } from '../shell/context.ts';
import { quote, quoteAll } from '../shell/quote.ts';
import { expand } from '../variables.ts';

/** What the artifacts of a job are, in the project's own terms. */
export interface ArtifactPaths {
  /** Relative, with variables in them expanded. */
  readonly paths: readonly string[];
  readonly exclude: readonly string[];
  /** Left out: outside of the project. */
  readonly outside: readonly string[];
  readonly untracked: boolean;
}

export function artifactPaths(artifacts: JobArtifacts, context: ScriptContext): ArtifactPaths {
  const lookup = (name: string): string | undefined => context.variables.get(name)?.value;
  const { project } = context.directories;
  const inside = (path: string): string => {
    const text = expand(path, lookup);
    return posix.normalize(text.startsWith('/') ? posix.relative(project, text) : text);
  };
  const all = (artifacts.paths ?? []).map(inside);
  const isOutside = (path: string): boolean => path === '..' || path.startsWith('../');
  return {
    paths: all.filter((path) => !isOutside(path)).map((path) => path.replace(/\/$/, '')),
    exclude: (artifacts.exclude ?? []).map(inside),
    outside: all.filter(isOutside),
    untracked: artifacts.untracked === true,
  };
}

/** Commands that write the artifacts to stdout as a tar archive; nothing else goes there. */
export function packArtifacts(paths: ArtifactPaths, context: ScriptContext): readonly string[] {
  const includes = paths.paths.map((path) => `\\./${globPattern(path)}(/.*)?`);
  const selected = paths.paths.includes('.') ? ['.*'] : includes;
  const tests = [
    ...(selected.length === 0 ? ['-false'] : ['(', ...alternatives(selected), ')']),
    ...paths.exclude.flatMap((path) => ['!', '-regex', `\\./${globPattern(path)}`]),
  ];
  const find = ['-regextype', 'posix-extended', '!', '-path', './.git', '!', '-path', './.git/*'];
  const untracked = 'git ls-files --others -z 2>/dev/null || :';
  return [
    `cd ${quote(context.directories.project)}`,
    '{',
    `  find . -mindepth 1 ${quoteAll([...find, ...tests, '-print0'])}`,
    ...(paths.untracked ? [`  ${untracked}`] : []),
    '} | tar --create --file=- --no-recursion --null --files-from=-',
  ];
}

/** Patterns that no file of the archive matches. */
export function unmatched(
  patterns: readonly string[],
  names: readonly string[],
): readonly string[] {
  return patterns.filter((pattern) => {
    const regex = new RegExp(`^${globPattern(pattern)}(/.*)?$`);
    return pattern !== '.' && !names.some((name) => regex.test(name));
  });
}

/** A pattern of doublestar as an extended regular expression without anchors. */
export function globPattern(glob: string): string {
  const pieces = glob.matchAll(/\*\*\/|\*\*|\*|\?|\[!?[^\]]+\]|\{[^{}]*\}|[\s\S]/g);
  return [...pieces].map(([piece]) => globPiece(piece)).join('');
}

function globPiece(piece: string): string {
  if (piece === '**/') return '(.*/)?';
  if (piece === '**') return '.*';
  if (piece === '*') return '[^/]*';
  if (piece === '?') return '[^/]';
  if (piece.length > 1 && piece.startsWith('[')) return piece.replace(/^\[!/, '[^');
  if (piece.length > 1 && piece.startsWith('{')) {
    return `(${piece.slice(1, -1).split(',').map(globPattern).join('|')})`;
  }
  return piece.replace(/[\\^$.|?*+(){}[\]]/, '\\$&');
}

function alternatives(patterns: readonly string[]): readonly string[] {
  return patterns.flatMap((pattern, index) => [...(index > 0 ? ['-o'] : []), '-regex', pattern]);
}
