/**
 * The end of an export: what SHA-256 all before it has. It is a frame that zstd(1) skips (RFC 8878,
 * §3.1.2), so that the file stays one that `tar --zstd` reads. The compression's own checksum is of
 * the content alone, and there are bits of a frame that no program looks at.
 *
 * A seal finds what was damaged. It proves nothing about who wrote the file.
 */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { SettingsError } from '../errors.ts';

const SKIPPABLE_FRAME = 0x184d2a5e;
const WORDS = 'nspawn-runner export, sha256 of all before: ';
const PAYLOAD_BYTES = WORDS.length + 64;
const SEAL_BYTES = 8 + PAYLOAD_BYTES;

export interface Sealed {
  /** Of the whole file, as sha256sum(1) has it. */
  readonly sha256: string;
  readonly bytes: number;
}

function sealOf(content: Hash): Buffer {
  const seal = Buffer.alloc(SEAL_BYTES);
  seal.writeUInt32LE(SKIPPABLE_FRAME, 0);
  seal.writeUInt32LE(PAYLOAD_BYTES, 4);
  seal.write(WORDS + content.copy().digest('hex'), 8, 'latin1');
  return seal;
}

/** Appends the seal to a finished archive, and brings it to the disk. */
export async function sealFile(path: string): Promise<Sealed> {
  const file = await open(path, 'r+');
  try {
    const { size } = await file.stat();
    const hash = await hashStart(path, size);
    const seal = sealOf(hash);
    await file.write(seal, 0, seal.length, size);
    await file.sync();
    return { sha256: hash.update(seal).digest('hex'), bytes: size + seal.length };
  } finally {
    await file.close();
  }
}

/** @throws SettingsError when the file is not, to the byte, what was sealed. */
export async function checkSeal(path: string): Promise<Sealed> {
  const { seal, contentBytes } = await readSeal(path);
  const hash = await hashStart(path, contentBytes);
  const expected = sealOf(hash);
  if (!seal.equals(expected)) {
    const said = seal.toString('latin1', SEAL_BYTES - 64);
    throw notAsWritten(path, [
      `Its SHA-256 is "${hash.copy().digest('hex')}".`,
      /^[0-9a-f]{64}$/.test(said) ? `Its seal says "${said}".` : 'Its seal has no SHA-256.',
    ]);
  }
  return { sha256: hash.update(seal).digest('hex'), bytes: contentBytes + seal.length };
}

async function readSeal(path: string): Promise<{ seal: Buffer; contentBytes: number }> {
  const file = await open(path, 'r');
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw new SettingsError(`"${path}" is no file.`);
    const seal = Buffer.alloc(SEAL_BYTES);
    const contentBytes = stat.size - SEAL_BYTES;
    if (contentBytes > 0) await file.read(seal, 0, SEAL_BYTES, contentBytes);
    if (seal.toString('latin1', 8, 8 + WORDS.length) !== WORDS) {
      throw notAsWritten(path, [
        'It does not end with a seal: it was cut off, or has another end.',
      ]);
    }
    return { seal, contentBytes };
  } finally {
    await file.close();
  }
}

async function hashStart(path: string, bytes: number): Promise<Hash> {
  const hash = createHash('sha256');
  const parts = createReadStream(path, { start: 0, end: bytes - 1, highWaterMark: 1024 * 1024 });
  for await (const part of parts) hash.update(part as Buffer);
  return hash;
}

function notAsWritten(path: string, details: readonly string[]): SettingsError {
  return new SettingsError(`"${path}" is not what "nspawn-runner chroot export" wrote.`, {
    details,
    hint: 'Copy it once more from where it was made, or export it again.',
  });
}
