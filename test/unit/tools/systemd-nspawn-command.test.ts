import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  treeCommandArguments,
  treeCommandEnvironment,
} from '../../../src/tools/systemd-nspawn-command.ts';

const SECRET = 'http://user:SECRET@proxy.example.com:3128';
const command = { tree: '/tree', machine: 'm', argv: ['/bin/true'] };

const setenv = (env: Record<string, string>): readonly string[] =>
  treeCommandArguments({ ...command, env }).filter((word) => word.startsWith('--setenv='));

const FIXED = [
  '--setenv=DEBIAN_FRONTEND=noninteractive',
  '--setenv=LC_ALL=C.UTF-8',
  '--setenv=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
];

beforeEach(() => {
  for (const name of ['http_proxy', 'https_proxy', 'no_proxy']) vi.stubEnv(name, undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
});

describe('the environment of a command in a tree', () => {
  it('has our proxies, by name', () => {
    vi.stubEnv('http_proxy', SECRET);
    vi.stubEnv('no_proxy', 'localhost');
    expect(setenv({})).toEqual([...FIXED, '--setenv=http_proxy', '--setenv=no_proxy']);
  });

  it('has a recipe’s proxies in place of ours', () => {
    vi.stubEnv('http_proxy', 'http://ours');
    const env = { http_proxy: SECRET, ALL_PROXY: SECRET };
    expect(setenv(env)).toEqual([...FIXED, '--setenv=http_proxy', '--setenv=ALL_PROXY']);
    expect(treeCommandEnvironment({ env })).toMatchObject(env);
  });

  it.each([
    'PATH',
    'LD_PRELOAD',
    'SYSTEMD_LOG_LEVEL',
    'SYSTEMD_NSPAWN_LOCK',
    'LD_http_proxy',
    'http_proxy_',
  ])('keeps %s from the host’s programs', (name) => {
    expect(setenv({ [name]: 'a b' })).toEqual([...FIXED, `--setenv=${name}=a b`]);
    expect(treeCommandEnvironment({ env: { [name]: 'a b' } })).toEqual(treeCommandEnvironment({}));
  });
});
