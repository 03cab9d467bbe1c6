import { describe, expect, it } from 'vitest';
import { parseMachineIndex } from '../../../src/vm/vagrant-index.ts';

const ID = '0227f763f32b4ea09bb0a44b2e1fb405';

function index(entry: unknown, id = ID): string {
  return JSON.stringify({ version: 1, machines: { [id]: entry } });
}

describe("Vagrant's index", () => {
  it('is read in the form that Vagrant writes', () => {
    const entry = {
      local_data_path: '/builds/x/.vagrant',
      name: 'default',
      provider: 'virtualbox',
      architecture: 'amd64',
      state: 'running',
      vagrantfile_name: ['default.yml'],
      vagrantfile_path: '/builds/x',
      updated_at: null,
      extra_data: { box: { name: 'generic/debian12' } },
    };
    expect(parseMachineIndex(index(entry), 'i')).toEqual([
      {
        id: ID,
        name: 'default',
        provider: 'virtualbox',
        state: 'running',
        directory: '/builds/x',
        dataDirectory: '/builds/x/.vagrant',
      },
    ]);
  });

  it.each([
    ['no data path', { vagrantfile_path: '/a' }, ID, ['/a/.vagrant']],
    ['a relative directory', { vagrantfile_path: 'a' }, ID, []],
    ['no directory', { name: 'x' }, ID, []],
    ['another id', { vagrantfile_path: '/a' }, '--help', []],
  ])('with %s', (_, entry, id, expected) => {
    expect(parseMachineIndex(index(entry, id), 'i').map((e) => e.dataDirectory)).toEqual(expected);
  });

  it.each(['', '{', '[]', '{"version":2,"machines":{}}', '{"version":1}', index({ name: 7 })])(
    'is refused: %s',
    (text) => {
      expect(() => parseMachineIndex(text, 'i')).toThrow(/^Vagrant's index "i"/);
    },
  );
});
