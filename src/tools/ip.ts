/** ip(8): the host's network links. */
import { HostError } from '../errors.ts';
import { run } from './exec.ts';
import { jsonEntries } from './json-entries.ts';

export interface Link {
  readonly name: string;
  /** systemd-nspawn gives a link whose name had to be cut its whole name as an alternative one. */
  readonly alternativeNames: readonly string[];
}

/** None where ip is not installed: then nobody made one either. */
export async function listLinks(): Promise<readonly Link[]> {
  let answer: string;
  try {
    answer = (await run('ip', ['-json', 'link', 'show'])).stdout;
  } catch (error) {
    if (error instanceof HostError) return [];
    throw error;
  }
  return parseLinks(answer);
}

/**
 * Parses `ip -json link show`; an entry without a name is left out.
 * @throws HostError for what is no JSON.
 */
export function parseLinks(text: string): readonly Link[] {
  return jsonEntries('ip', text).flatMap(({ ifname, altnames }) => {
    if (typeof ifname !== 'string') return [];
    const others: readonly unknown[] = Array.isArray(altnames) ? altnames : [];
    return [{ name: ifname, alternativeNames: others.filter((name) => typeof name === 'string') }];
  });
}

/** A link that is gone is no failure. */
export async function deleteLink(name: string): Promise<void> {
  // ip(8), EXIT STATUS: 1 for a request that makes no sense here, 2 for one the kernel refused.
  await run('ip', ['link', 'delete', 'dev', name], { okStatuses: [0, 1, 2] });
}
