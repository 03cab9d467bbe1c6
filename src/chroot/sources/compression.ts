/** How an archive is compressed, by its first bytes: tar(1) wants a program for each kind. */
import { open } from 'node:fs/promises';
import { requireProgram } from './required-program.ts';

interface Compression {
  readonly magic: string;
  readonly program: string;
  readonly packageName: string;
}

/** Hexadecimal. RFC 1952, the .xz file format, RFC 8878, bzip2. */
const COMPRESSIONS: readonly Compression[] = [
  { magic: '1f8b', program: 'gzip', packageName: 'gzip' },
  { magic: 'fd377a585a00', program: 'xz', packageName: 'xz-utils' },
  { magic: '28b52ffd', program: 'zstd', packageName: 'zstd' },
  { magic: '425a68', program: 'bzip2', packageName: 'bzip2' },
];
const MAGIC_BYTES = 6;

/** @throws HostError when this host does not have the program that the archive wants. */
export async function requireDecompressor(archive: string): Promise<void> {
  const file = await open(archive, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MAGIC_BYTES), 0, MAGIC_BYTES, 0);
    const compression = compressionOf(buffer.subarray(0, bytesRead));
    if (compression === undefined) return;
    await requireProgram(compression.program, compression.packageName, 'unpacks this archive');
  } finally {
    await file.close();
  }
}

/** Undefined for a plain archive, and for what is none. */
export function compressionOf(start: Buffer): Compression | undefined {
  const hex = start.toString('hex');
  return COMPRESSIONS.find(({ magic }) => hex.startsWith(magic));
}
