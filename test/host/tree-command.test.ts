/** What a command in a tree gets, and what everybody sees of it. */
import { open, readdir, readFile, rm, type FileHandle } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runInTree } from '../../src/tools/systemd-nspawn-command.ts';
import { ChrootPlace, type MadeChroot } from './made-chroot.ts';

const OURS = 'http://user:SECRET-OURS@proxy.example.com:3128';
const RECIPES = 'http://user:SECRET-RECIPE@proxy.example.com:3128';
const LOCK = '/run/tree-command-test.lock';

let place: ChrootPlace;
let chroot: MadeChroot;
let lock: FileHandle;

beforeAll(async () => {
  place = await ChrootPlace.create();
  chroot = await place.addAside('commands');
  lock = await open(LOCK, 'w+');
  process.env['http_proxy'] = OURS;
});
afterAll(async () => {
  delete process.env['http_proxy'];
  await lock.close();
  await rm(LOCK);
  await place.dispose();
});

async function commandLines(): Promise<string> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const read = pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''));
  return (await Promise.all(read)).join('\n');
}

interface Ran {
  readonly lines: readonly string[];
  readonly seen: string;
  readonly error: unknown;
}

async function inTree(script: string, env: Record<string, string>): Promise<Ran> {
  const lines: string[] = [];
  let seen: Promise<string> | undefined;
  const how = {
    lockFd: lock.fd,
    signal: new AbortController().signal,
    onLine: (line: string) => {
      if (line === 'look') seen = commandLines();
      lines.push(line);
    },
  };
  const argv = ['/bin/sh', '-c', `echo look; sleep 1; ${script}`];
  const command = { tree: chroot.path, machine: 'nsrb-tree-command', argv, env, network: false };
  const error = await runInTree(command, how).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return { lines, seen: (await seen) ?? '', error };
}

describe('a command in a tree', () => {
  it('knows the proxies, which no command line tells', async () => {
    const { lines, seen, error } = await inTree('echo "$http_proxy $HTTPS_PROXY"', {
      HTTPS_PROXY: RECIPES,
    });
    expect(error).toBeUndefined();
    expect(lines).toContain(`${OURS} ${RECIPES}`);
    expect(seen).toContain('nsrb-tree-command');
    expect(seen).not.toContain('SECRET-');
  });

  it('that fails tells none of them', async () => {
    const { error } = await inTree('exit 3', { http_proxy: RECIPES });
    expect(error).toMatchObject({ command: { exitStatus: 3 } });
    expect(JSON.stringify(error)).not.toContain('SECRET-');
  });

  it('has variables that would act on the host’s programs for itself alone', async () => {
    const { lines, error } = await inTree('echo "$SYSTEMD_LOG_LEVEL $LD_DEBUG"', {
      SYSTEMD_LOG_LEVEL: 'debug',
      LD_DEBUG: 'unknown',
    });
    expect(error).toBeUndefined();
    expect(lines).toContain('debug unknown');
    expect(lines.filter((line) => line.includes('Successfully'))).toEqual([]);
  });
});
