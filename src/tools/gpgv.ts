/** gpgv(1): whether a file is what the holder of a key signed. */
import { run } from './exec.ts';

const TIMEOUT_SEC = 600;
/** GnuPG's doc/DETAILS: every other verdict, an expired or revoked key among them, is no. */
const NO = new Set([
  'BADSIG',
  'ERRSIG',
  'EXPSIG',
  'EXPKEYSIG',
  'REVKEYSIG',
  'NO_PUBKEY',
  'NODATA',
  'FAILURE',
]);
const ARMOR =
  /-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n([\s\S]*?)-----END PGP PUBLIC KEY BLOCK-----/g;

export interface Verification {
  readonly signature: string;
  readonly file: string;
  /** Binary, see `binaryKeyring`. */
  readonly keyring: string;
  /** Private; without it gpgv reads root's own. */
  readonly homeDir: string;
}

export type SignatureVerdict =
  | { readonly isGood: true; /** Of the key that signed. */ readonly fingerprint: string }
  | { readonly isGood: false; readonly lines: readonly string[] };

export function gpgvArguments({ signature, file, keyring, homeDir }: Verification): string[] {
  return [`--homedir=${homeDir}`, '--status-fd=1', `--keyring=${keyring}`, '--', signature, file];
}

/**
 * Checks a detached signature.
 * @throws HostError without gpgv, Stopped by `signal`.
 */
export async function verifySignature(
  what: Verification,
  signal: AbortSignal,
): Promise<SignatureVerdict> {
  // gpgv(1): 1 for a signature that is bad, 2 for all else; the status lines say which.
  const { stdout, stderr } = await run('gpgv', gpgvArguments(what), {
    okStatuses: [0, 1, 2],
    timeoutSec: TIMEOUT_SEC,
    signal,
  });
  return parseStatus(stdout, stderr);
}

/** One good signature, and none that is not. */
export function parseStatus(status: string, complaints: string): SignatureVerdict {
  const words = status
    .split('\n')
    .filter((line) => line.startsWith('[GNUPG:] '))
    .map((line) => line.split(' ').slice(1));
  const isGood = words.some(([verdict]) => verdict === 'GOODSIG');
  const fingerprint = words.find(([verdict]) => verdict === 'VALIDSIG')?.[1];
  const isRefused = words.some(([verdict]) => verdict !== undefined && NO.has(verdict));
  if (isGood && fingerprint !== undefined && !isRefused) return { isGood: true, fingerprint };
  return { isGood: false, lines: complaints.split('\n').filter((line) => line !== '') };
}

/** The keys of a keyring as gpgv(1) wants them: what is armored (RFC 9580, section 6) is decoded. */
export function binaryKeyring(keyring: Buffer): Buffer {
  const blocks = [...keyring.toString('latin1').matchAll(ARMOR)];
  if (blocks.length === 0) return keyring;
  return Buffer.concat(
    blocks.map(([, block = '']) => {
      // Headers end with an empty line; the checksum's line begins with "=".
      const body = block.replace(/^[\s\S]*?\n\s*?\n/, '');
      const lines = body.split(/\r?\n/).filter((line) => !line.startsWith('='));
      return Buffer.from(lines.join(''), 'base64');
    }),
  );
}
