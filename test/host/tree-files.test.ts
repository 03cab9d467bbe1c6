/** What a tree has in place of its own files is never the host's, and holds nobody. */
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { machineBase } from '../../src/machine/machine-base.ts';
import { tryChroot, type TrialResult } from '../../src/machine/trial.ts';
import { defaultSettings } from '../../src/settings.ts';
import { host } from './driver.ts';
import { ChrootPlace } from './made-chroot.ts';

const SECRET = 'secret:x:4242:4242::/home/secret:/bin/sh';

let place: ChrootPlace;
let dir = '';

beforeAll(async () => {
  place = await ChrootPlace.create();
  dir = await mkdtemp('/var/lib/tree-files-');
  await writeFile(join(dir, 'secret'), `${SECRET}\n`, { mode: 0o600 });
});
afterAll(async () => {
  await place.dispose();
  await rm(dir, { recursive: true });
});

const others: readonly (readonly [string, (file: string) => Promise<unknown>])[] = [
  ['a link to the host', (file) => symlink(join(dir, 'secret'), file)],
  ['a FIFO', (file) => host('mkfifo', file)],
  ['a directory', (file) => mkdir(file)],
  [
    'a huge file',
    async (file) => {
      await writeFile(file, `${SECRET}\n`);
      await truncate(file, 8 * 1024 ** 3);
    },
  ],
];

interface Tried extends Partial<TrialResult> {
  readonly error?: unknown;
  readonly lines: readonly string[];
}

/** A trial of a tree with that in place of one of its files. */
async function tried(
  path: string,
  put: (file: string) => Promise<unknown>,
  user?: string,
): Promise<Tried> {
  const change = async (tree: string): Promise<void> => {
    await rm(join(tree, path), { force: true });
    await put(join(tree, path));
  };
  const chroot = await place.addAside('changed', { change });
  const base = machineBase(chroot, defaultSettings(), user === undefined ? {} : { user });
  const checks = [{ name: 'hosts', script: 'cat /etc/hosts; stat --format=%F /etc/hosts' }];
  const lines: string[] = [];
  const how = {
    signal: new AbortController().signal,
    onLine: (line: string) => void lines.push(line),
  };
  const plan = { stateDir: place.stateDir, base, checks, runnerBinary: undefined };
  return tryChroot(plan, how).then(
    (result) => ({ ...result, lines }),
    (error: unknown) => ({ error, lines }),
  );
}

describe('a machine of a tree that has', () => {
  it.each(others)('%s as /etc/hosts gets one of its own', async (_, put) => {
    const { error, passed, lines } = await tried('etc/hosts', put);
    expect(error).toBeUndefined();
    expect(passed).toContain('hosts');
    expect(lines).toContain('127.0.0.1 localhost');
    expect(lines).toContain('regular file');
    expect(lines.join('\n')).not.toContain('secret');
  });

  it.each(others)('%s as /etc/passwd has no users', async (_, put) => {
    const { error } = await tried('etc/passwd', put, 'secret');
    expect(error).toMatchObject({
      message: 'User "secret" does not exist in the chroot.',
      details: [expect.stringMatching(/\/etc\/passwd is no regular file of at most 1 MiB\.$/)],
    });
  });
});
