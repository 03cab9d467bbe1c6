/** What Debian's and Ubuntu's mirrors offer now: the packages that their Release files vouch for. */
import { createHash } from 'node:crypto';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandError } from '../../errors.ts';
import { aptDownloadText } from '../../tools/apt-helper.ts';
import { removeTree } from '../../tools/rm.ts';
import { aptSources, releaseDirectories } from '../apt-sources.ts';
import type { SourceSite } from '../source-tree.ts';
import type { DebianSource } from '../source.ts';

/** What apt's methods say of a file that is not on the mirror. */
const IS_MISSING = /\b404\b|not found/i;

/**
 * A fingerprint of every suite's Release file.
 * @throws CommandError when one of them cannot be had, HostError on a host without apt, Stopped.
 */
export async function debianState(
  source: DebianSource,
  site: Pick<SourceSite, 'tempDir' | 'aptMirror' | 'how'>,
): Promise<string> {
  const directories = releaseDirectories(aptSources(source, site.aptMirror));
  const dir = await mkdtemp(join(site.tempDir, 'upstream-'));
  try {
    const configFile = join(dir, 'apt.conf');
    const options = source.aptOptions.map((option) => `${option.replace(/;*$/, ';')}\n`);
    await writeFile(configFile, options.join(''), { mode: 0o600 });
    const states = await Promise.all(
      directories.map(async (url, index) => {
        const file = join(dir, String(index));
        return `${url} ${packagesState(await release({ url, file, configFile }, site.how.signal))}\n`;
      }),
    );
    return createHash('sha256').update(states.join('')).digest('hex');
  } finally {
    await removeTree(dir);
  }
}

interface ReleaseFile {
  readonly url: string;
  readonly file: string;
  readonly configFile: string;
}

/** apt-secure(8): InRelease, and where a repository is older than that, Release. */
async function release(
  { url, file, configFile }: ReleaseFile,
  signal: AbortSignal,
): Promise<string> {
  const text = (name: string): Promise<string> =>
    aptDownloadText({ url: `${url}/${name}`, file: `${file}.${name}`, configFile }, signal);
  return text('InRelease').catch((error: unknown) => {
    // A mirror that does not answer is not waited for twice.
    if (error instanceof CommandError && IS_MISSING.test(error.command.stderrTail)) {
      return text('Release');
    }
    throw error;
  });
}

/**
 * The SHA-256 of every package list; a mirror that only signs anew, with a new date, offers nothing
 * new. A Release file without any counts as a whole.
 */
export function packagesState(releaseFile: string): string {
  const lines = releaseFile
    .split('\n')
    .filter((line) => /^ [0-9a-f]{64} +\d+ \S*Packages\S*$/.test(line))
    .sort();
  const text = lines.length === 0 ? releaseFile : lines.join('\n');
  return createHash('sha256').update(text).digest('hex');
}
