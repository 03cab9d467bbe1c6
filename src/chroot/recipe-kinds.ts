/** The kinds of values that recipes alone have. */
import * as z from 'zod/mini';

export const URL = /^(?:https?|file):\/\/[^\s"'\\]+$/;
/** Absolute, with neither "." nor ".." nor an empty part. */
export const path = /^(?:\/(?!\.{1,2}(?:\/|$))[^/\0\n]+)+$/;
/** HOST:MACHINE[:ro], as in volumes of other tools; systemd-nspawn's own escapes are ours to add. */
const BIND = /^\/[^\0\n:]*:\/[^\0\n:]+(?::ro)?$/;
const OPTION = /^--[a-z][a-z0-9-]*(?:=[^\0\n]*)?$/;
/** What prepare itself says to systemd-nspawn, and what would let a machine outlive its unit. */
const OURS = [
  'directory',
  'image',
  'template',
  'ephemeral',
  'volatile',
  'root-hash',
  'overlay',
  'machine',
  'hostname',
  'uuid',
  'boot',
  'as-pid2',
  'keep-unit',
  'slice',
  'register',
  'notify-ready',
  'settings',
  'link-journal',
  'console',
  'pipe',
  'quiet',
  'resolv-conf',
  'timezone',
  'oom-score-adjust',
  'private-network',
  'suppress-sync',
  'help',
  'version',
];

export const url = 'a URL such as http://deb.debian.org/debian';
export const absolutePath = 'an absolute path without "." and ".."';

export const text = (expected: string, pattern: RegExp) =>
  z.string({ error: expected }).check(z.regex(pattern, { error: expected }));
export const listOf = (expected: string, pattern: RegExp) =>
  z.optional(z.array(text(expected, pattern), { error: `a list, each item ${expected}` }));

export const yesNo = z.optional(z.boolean({ error: 'true or false' }));

/** NUL ends a file for no shell, but it is in no script either. */
const STEP = /^[^\0]*\S[^\0]*$/;

export function stepsOf(expected: string) {
  // YAML makes a map of `- echo done: yes`.
  const step = ({ input }: { readonly input?: unknown }): string =>
    typeof input === 'object' && input !== null
      ? `${expected}, in quotes or below "- |" if it has a ": " in it`
      : expected;
  return z.optional(
    z.array(z.string({ error: step }).check(z.regex(STEP, { error: expected })), {
      error: `a list, each item ${expected}`,
    }),
  );
}

export const binds = listOf('HOST:MACHINE or HOST:MACHINE:ro, two absolute paths', BIND);

export const nspawnOption = text(
  'an option of systemd-nspawn(1) that nspawn-runner does not set itself, such as --capability=CAP_SYS_PTRACE',
  new RegExp(`^(?!--(?:${OURS.join('|')})(?:=|$))${OPTION.source.slice(1)}`),
);
