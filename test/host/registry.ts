/** A registry of our own on this host, with a password. */
import { execa } from 'execa';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { waitFor } from './driver.ts';

export interface Registry {
  /** HOST:PORT, without TLS. */
  readonly address: string;
  /** containers-auth.json(5). */
  readonly authFile: string;
  readonly password: string;
  readonly stop: () => Promise<void>;
}

const USER = 'reader';
const PASSWORD = 'U*U';
/** The first test vector of crypt_blowfish. */
const BCRYPT = '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW';

/** docker-registry(1), with all that it keeps in `dir`. */
export async function startRegistry(dir: string): Promise<Registry> {
  const address = `127.0.0.1:${40_000 + (process.pid % 20_000)}`;
  await mkdir(join(dir, 'registry'));
  await writeFile(join(dir, 'htpasswd'), `${USER}:${BCRYPT}\n`);
  const config = {
    version: 0.1,
    log: { level: 'error' },
    storage: { filesystem: { rootdirectory: join(dir, 'registry') } },
    http: { addr: address },
    auth: { htpasswd: { realm: 'test', path: join(dir, 'htpasswd') } },
  };
  // YAML is a superset of JSON.
  await writeFile(join(dir, 'registry.yml'), JSON.stringify(config));
  const child = execa('docker-registry', ['serve', join(dir, 'registry.yml')], { reject: false });
  const answers = async (): Promise<boolean> => {
    const response = await fetch(`http://${address}/v2/`).catch(() => undefined);
    return response?.status === 401;
  };
  await waitFor('the registry to answer', answers, 60_000);
  const authFile = join(dir, 'auth.json');
  const auth = Buffer.from(`${USER}:${PASSWORD}`).toString('base64');
  await writeFile(authFile, JSON.stringify({ auths: { [address]: { auth } } }), { mode: 0o600 });
  const stop = async (): Promise<void> => {
    child.kill();
    await child;
  };
  return { address, authFile, password: PASSWORD, stop };
}
