/**
 * What is around every script: TERM ends it with 1 (the Runner's own scripts do so since 17.4), the
 * first command that fails ends it with its status, and commands read nothing from our stdin.
 */
import type { ResolvedVariable } from '../variables.ts';
import { quote } from './quote.ts';

export type Shell = 'bash' | 'sh';

export const SHELLS: readonly string[] = ['bash', 'sh'];

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** The whole script; the shell reads the body to its end before it runs any of it. */
export function frame(shell: Shell, body: readonly string[]): string {
  return [
    `#!/usr/bin/env ${shell}`,
    '',
    "trap 'exit 1' TERM",
    'if (set -o pipefail) 2>/dev/null; then set -o pipefail; fi',
    'set -o errexit',
    'set +o noclobber',
    '(',
    ':',
    ...body,
    ') </dev/null',
    'exit 0',
    '',
  ].join('\n');
}

/** Writes the file variables and exports all; names that no shell takes are left to the driver. */
export function exportVariables(
  variables: Iterable<ResolvedVariable>,
  temporary: string,
): readonly string[] {
  const lines: string[] = [];
  for (const { key, value, content, isFile } of variables) {
    if (!NAME.test(key)) continue;
    if (isFile) {
      lines.push(`mkdir -p ${quote(temporary)}`, `printf %s ${quote(content)} >${quote(value)}`);
    }
    lines.push(`export ${key}=${quote(value)}`);
  }
  return lines;
}

/** What earlier scripts of the job wrote to $GITLAB_ENV, one NAME=VALUE a line. */
export function readStepEnvironment(temporary: string): readonly string[] {
  const file = quote(`${temporary}/gitlab_runner_env`);
  return [
    `mkdir -p ${quote(temporary)}`,
    `export GITLAB_ENV=${file}`,
    'touch "$GITLAB_ENV"',
    'while IFS= read -r gitlab_env_line; do',
    '  case $gitlab_env_line in ?*=*) export "$gitlab_env_line" ;; esac',
    'done <"$GITLAB_ENV"',
  ];
}
