/** What rpm repositories offer now: their repomd.xml, which names all else by its checksum. */
import { createHash } from 'node:crypto';
import { downloadText } from '../../tools/curl.ts';
import type { FedoraSource, RpmRepository } from '../source.ts';
import { repositoriesOf } from './fedora-repositories.ts';

/**
 * A fingerprint of all repositories.
 * @throws CommandError when one of them cannot be had, HostError without curl, Stopped by `signal`.
 */
export async function fedoraState(source: FedoraSource, signal: AbortSignal): Promise<string> {
  const states = await Promise.all(
    repositoriesOf(source).map(
      async (repository) => `${repository.id} ${await stateOf(repository, signal)}\n`,
    ),
  );
  return createHash('sha256').update(states.join('')).digest('hex');
}

async function stateOf({ baseurl, metalink }: RpmRepository, signal: AbortSignal): Promise<string> {
  if (baseurl !== undefined) {
    const url = `${baseurl.replace(/\/+$/, '')}/repodata/repomd.xml`;
    return createHash('sha256')
      .update(await downloadText(url, signal))
      .digest('hex');
  }
  return metalinkState(await downloadText(metalink ?? '', signal));
}

/**
 * RFC 5854 as MirrorManager writes it: the checksum of the newest repomd.xml. The list of mirrors
 * changes with each request, and older ones stand in `alternates`. Without one the text counts.
 */
export function metalinkState(text: string): string {
  const newest = text.replaceAll(/<mm0:alternates>[\s\S]*?<\/mm0:alternates>/g, '');
  const sha256 = /<hash type="sha256">\s*([0-9a-f]{64})\s*<\/hash>/.exec(newest)?.[1];
  return sha256 ?? createHash('sha256').update(text).digest('hex');
}
