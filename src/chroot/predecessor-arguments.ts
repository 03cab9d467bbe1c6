/** `nspawn_runner_args`: options of systemd-nspawn(1) for all machines of a playbook's chroot. */
import type { Problem } from '../file-problems.ts';
import { nspawnOption } from './recipe-kinds.ts';

export interface NspawnArguments {
  readonly options: readonly string[];
  /** What recipes have keys for. */
  readonly network?: 'none' | undefined;
  readonly suppressSync?: boolean | undefined;
  /** Paths begin at the value. */
  readonly problems: readonly Problem[];
}

interface Word {
  readonly text: string;
  /** In the list, where there is one. */
  readonly path: readonly number[];
}

const EXPECTED = 'a list of options such as --bind=/srv/data';
const YES = /^(?:=(?:yes|true|on|1))?$/;

/** @param value as the playbook has it; a text is split at its blanks, quotes mean nothing. */
export function nspawnArguments(value: unknown): NspawnArguments {
  const words = wordsOf(value);
  if (words === undefined) {
    return { options: [], problems: [{ path: [], text: `expected ${EXPECTED}` }] };
  }
  const options: string[] = [];
  const problems: Problem[] = [];
  let own: Pick<NspawnArguments, 'network' | 'suppressSync'> = {};
  for (const { text, path } of withValues(words)) {
    const [, name = '', rest = ''] = /^--([a-z-]+)(.*)$/s.exec(text) ?? [];
    if (name === 'quiet' || text === '-q') continue;
    if (name === 'private-network' && YES.test(rest)) own = { ...own, network: 'none' };
    else if (name === 'suppress-sync') own = { ...own, suppressSync: YES.test(rest) };
    else {
      const { success, error } = nspawnOption.safeParse(text);
      if (success) options.push(text);
      else {
        const expected = error.issues[0]?.message ?? EXPECTED;
        problems.push({ path, text: `expected ${expected}, got ${JSON.stringify(text)}` });
      }
    }
  }
  return { options, ...own, problems };
}

function wordsOf(value: unknown): readonly Word[] | undefined {
  if (value === undefined || value === null) return [];
  if (typeof value === 'string') {
    const texts = value.split(/\s+/).filter((text) => text !== '');
    return texts.map((text) => ({ text, path: [] }));
  }
  if (!Array.isArray(value)) return undefined;
  const items = value as readonly unknown[];
  if (!items.every((item) => typeof item === 'string')) return undefined;
  return items.map((text, index) => ({ text, path: [index] }));
}

/** `--bind /srv` is `--bind=/srv`: no word of its own is an argument there, but for a boot none is. */
function withValues(words: readonly Word[]): readonly Word[] {
  const joined: Word[] = [];
  for (const word of words) {
    const last = joined.at(-1);
    const isValue = !word.text.startsWith('-') && /^--[^=]+$/.test(last?.text ?? '');
    if (last !== undefined && isValue)
      joined.splice(-1, 1, { ...last, text: `${last.text}=${word.text}` });
    else joined.push(word);
  }
  return joined;
}
