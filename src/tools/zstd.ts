/** zstd(1): what a compressed file holds. */
import { HostError } from '../errors.ts';
import { findProgram } from './find-program.ts';
import { outputBytes } from './output-bytes.ts';

/** @throws HostError that names the package, before tar says it in words of its own. */
export async function requireZstd(): Promise<void> {
  if ((await findProgram('zstd')) !== undefined) return;
  throw new HostError('"zstd" is not installed on this host.', {
    hint: 'Install the package "zstd", then try again.',
  });
}

/**
 * The content of a compressed file; its checksum is compared at the end.
 * @throws CommandError when the file is damaged.
 */
export function decompressedBytes(file: string, signal?: AbortSignal): AsyncIterable<Buffer> {
  return outputBytes('zstd', ['--decompress', '--stdout', '--quiet', '--', file], signal);
}
