/** A chain of certificates as companies have them: root, intermediate, and one for 127.0.0.1. */
import { execa } from 'execa';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Certificate } from './repository.ts';

export interface Chain extends Certificate {
  /** PEM of what a client must trust. */
  readonly root: string;
}

const CA = 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n';
const LEAF = 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n';

/** Made anew with openssl(1); valid for a day. */
export async function makeChain(): Promise<Chain> {
  const directory = await mkdtemp(join(tmpdir(), 'certificate-'));
  const read = (name: string): Promise<string> => readFile(join(directory, name), 'utf8');
  await issue(directory, 'root', 'root', CA);
  await issue(directory, 'intermediate', 'root', CA);
  await issue(directory, 'leaf', 'intermediate', LEAF);
  const chain = {
    key: await read('leaf.key'),
    chain: (await read('leaf.pem')) + (await read('intermediate.pem')),
    root: await read('root.pem'),
  };
  await rm(directory, { recursive: true });
  return chain;
}

async function issue(cwd: string, name: string, by: string, extensions: string): Promise<void> {
  const openssl = (...args: string[]): Promise<unknown> =>
    execa('openssl', args, { cwd, stdin: 'ignore' });
  await writeFile(join(cwd, `${name}.ext`), extensions);
  const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout', `${name}.key`];
  await openssl('req', ...key, '-subj', `/CN=${name}`, '-out', `${name}.csr`);
  const signer =
    name === by
      ? ['-signkey', `${name}.key`]
      : ['-CA', `${by}.pem`, '-CAkey', `${by}.key`, '-CAcreateserial'];
  const files = ['-in', `${name}.csr`, '-extfile', `${name}.ext`, '-out', `${name}.pem`];
  await openssl('x509', '-req', '-days', '1', ...signer, ...files);
}
