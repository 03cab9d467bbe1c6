import { beforeEach, describe, expect, it, vi } from 'vitest';
import { runCli } from '../../src/cli.ts';

type Call = readonly [string, Readonly<Record<string, unknown>>];

const calls: Call[] = [];
const handler = (name: string) => (args: Readonly<Record<string, unknown>>) => {
  calls.push([name, args]);
  return Promise.resolve(7);
};
vi.mock('../../src/commands/chroot-make.ts', () => ({
  chrootCreate: handler('create'),
  chrootUpdate: handler('update'),
}));
vi.mock('../../src/commands/chroot-show.ts', () => ({
  chrootList: handler('list'),
  chrootShow: handler('show'),
}));
vi.mock('../../src/commands/chroot-verify.ts', () => ({ chrootVerify: handler('verify') }));
vi.mock('../../src/commands/chroot-login.ts', () => ({ chrootLogin: handler('login') }));
vi.mock('../../src/commands/chroot-remove.ts', () => ({ chrootRemove: handler('remove') }));
vi.mock('../../src/commands/chroot-transfer.ts', () => ({
  chrootExport: handler('export'),
  chrootImport: handler('import'),
}));

vi.stubGlobal('NSPAWN_RUNNER_VERSION', '0');

const parse = (line: string): Promise<number> =>
  runCli(`chroot ${line}`.trim().split(' '), new AbortController().signal);

beforeEach(() => {
  calls.length = 0;
});

describe('chroot', () => {
  it.each<[string, string, Readonly<Record<string, unknown>>]>([
    ['create debian-12 web', 'create', { names: ['debian-12', 'web'] }],
    ['create --all --if-missing', 'create', { names: [], all: true, ifMissing: true }],
    ['create 12 --jobs=3 --json', 'create', { names: ['12'], jobs: 3, json: true }],
    ['update --all', 'update', { names: [], all: true }],
    ['update web --rebuild', 'update', { names: ['web'], rebuild: true }],
    ['update web --refresh', 'update', { names: ['web'], refresh: true }],
    ['list --json', 'list', { json: true }],
    ['show web', 'show', { name: 'web' }],
    ['show 0123', 'show', { name: '0123' }],
    ['verify', 'verify', { names: [] }],
    ['verify web api', 'verify', { names: ['web', 'api'] }],
    ['verify --all', 'verify', { names: [], all: true }],
    ['login web', 'login', { name: 'web' }],
    ['login web --discard', 'login', { name: 'web', discard: true }],
    ['login web -- apt-get install x', 'login', { command: ['apt-get', 'install', 'x'] }],
    ['login web -- ls -l --all', 'login', { command: ['ls', '-l', '--all'] }],
    ['login web -- sleep 0x10 1.0', 'login', { command: ['sleep', '0x10', '1.0'] }],
    ['login web ls /etc', 'login', { command: ['ls', '/etc'] }],
    ['remove web api', 'remove', { names: ['web', 'api'] }],
    ['remove web --old=v1', 'remove', { names: ['web'], old: 'v1' }],
    ['export web', 'export', { name: 'web' }],
    ['export web /tmp/w.tar.zst --force', 'export', { file: '/tmp/w.tar.zst', force: true }],
    ['import w.tar.zst --name=api', 'import', { source: 'w.tar.zst', name: 'api' }],
    ['import w.tar.zst --sha256=00', 'import', { sha256: '00' }],
    ['list --settings=/s.yaml', 'list', { settings: '/s.yaml' }],
  ])('%s', async (line, name, args) => {
    expect(await parse(line)).toBe(7);
    expect(calls).toEqual([[name, expect.objectContaining(args)]]);
  });

  it('login without a command has none', async () => {
    await parse('login web');
    expect(calls[0]?.[1]['command']).toBeUndefined();
  });

  it.each([
    ['', 'Say what to do with chroots; `chroot --help` lists it.'],
    ['creat web', 'Did you mean create?'],
    ['create --al', 'Unknown argument: al'],
    ['show', 'Not enough non-option arguments: got 0, need at least 1'],
    ['remove', 'Not enough non-option arguments: got 0, need at least 1'],
    ['show web api', 'Unknown argument: api'],
  ])('%j is refused', async (line, message) => {
    await expect(parse(line)).rejects.toThrow(message);
    expect(calls).toEqual([]);
  });
});
