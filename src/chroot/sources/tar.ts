/** A root file system in a tar archive: checked first, and then that very file is unpacked. */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandError, HostError, SettingsError } from '../../errors.ts';
import type { ConfinedRun } from '../../tools/confined.ts';
import { downloadText } from '../../tools/curl.ts';
import { binaryKeyring, verifySignature } from '../../tools/gpgv.ts';
import { unpackTree } from '../../tools/tar.ts';
import type { MadeSource, SourceSite } from '../source-tree.ts';
import type { TarSource } from '../source.ts';
import { requireDecompressor } from './compression.ts';
import { removeDevices } from './devices.ts';
import { fetchFile, isUrl, sha256OfFile, withoutCredentials } from './fetched-file.ts';
import { requireProgram } from './required-program.ts';

/** What GNU tar 1.34 says of "..", of a name below a link, and of a hard link to what it has not unpacked. */
const LEADS_OUT = /Member name contains '\.\.'|Cannot open: Not a directory|Cannot hard link to/;

/** The tree as the archive has it; nothing is installed. */
export async function makeTarTree(source: TarSource, site: SourceSite): Promise<MadeSource> {
  const { tree, tempDir, how, step } = site;
  const { location, stripComponents } = source;
  const named = withoutCredentials(location);
  const archive = join(tempDir, 'archive');
  step(`${isUrl(location) ? 'downloading' : 'reading'} ${named}`);
  await fetchFile(location, archive, how);
  step('checking the archive');
  const sha256 = await sha256OfFile(archive, how.signal);
  if (source.sha256 !== undefined && source.sha256 !== sha256) {
    throw new SettingsError(`"${named}" is not the archive that the recipe means.`, {
      details: [`sha256 in the recipe: ${source.sha256}`, `sha256 of the archive: ${sha256}`],
      hint: 'Find out why it changed; if it may be so, correct "sha256" in the recipe.',
    });
  }
  const signedBy = await checkSignature(source, archive, site);
  await requireDecompressor(archive);
  step('unpacking the archive');
  await unpack({ archive, tree, stripComponents }, named, how);
  await rm(archive);
  await removeDevices(tree);
  const facts = { location: named, sha256, ...(signedBy === undefined ? {} : { signedBy }) };
  return { facts, packagesInstalled: false };
}

/**
 * The fingerprint of the key that signed it, undefined where the recipe asks for no signature.
 * @throws SettingsError for a signature that is not good.
 */
async function checkSignature(
  { location, signature, keyring }: TarSource,
  archive: string,
  { tempDir, how }: SourceSite,
): Promise<string | undefined> {
  if (signature === undefined || keyring === undefined) return undefined;
  await requireProgram('gpgv', 'gpgv', 'checks signatures');
  const homeDir = join(tempDir, 'gpgv');
  await mkdir(homeDir, { mode: 0o700 });
  const own = { signature: join(homeDir, 'archive.sig'), keyring: join(homeDir, 'keyring') };
  await fetchFile(signature, own.signature, how);
  await writeFile(own.keyring, binaryKeyring(await readKeyring(keyring)));
  const verdict = await verifySignature({ ...own, file: archive, homeDir }, how.signal);
  if (verdict.isGood) return verdict.fingerprint;
  throw new SettingsError(
    `"${withoutCredentials(location)}" is not signed by a key of "${keyring}".`,
    {
      details: verdict.lines,
      hint: 'Find out who signed it; correct "signature" or "keyring" in the recipe if they are wrong.',
    },
  );
}

async function readKeyring(keyring: string): Promise<Buffer> {
  try {
    return await readFile(keyring);
  } catch (cause) {
    throw new HostError(`Keyring "${keyring}" cannot be read.`, {
      details: [cause instanceof Error ? cause.message : String(cause)],
      hint: 'Put it there, or correct "keyring" in the recipe.',
      cause,
    });
  }
}

async function unpack(
  what: { archive: string; tree: string; stripComponents: number },
  named: string,
  how: ConfinedRun,
): Promise<void> {
  try {
    await unpackTree(what, how);
  } catch (cause) {
    if (cause instanceof CommandError && LEADS_OUT.test(cause.command.stderrTail)) {
      throw new SettingsError(
        `"${named}" has members that lead out of the tree or through links.`,
        {
          hint: 'Do not use it, or make it again from the top of the root file system.',
          cause,
        },
      );
    }
    throw cause;
  }
}

/**
 * A pinned archive offers what the recipe says; else the signature or the file itself tells.
 * @throws CommandError when a signature cannot be had, SettingsError for a file that is not there.
 */
export async function tarState(
  source: TarSource,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { location, sha256, signature } = source;
  if (sha256 !== undefined) return sha256;
  if (!isUrl(location)) return sha256OfFile(location, signal);
  if (signature === undefined) return undefined;
  if (!isUrl(signature)) return sha256OfFile(signature, signal);
  return createHash('sha256')
    .update(await downloadText(signature, signal))
    .digest('hex');
}
