import { expect, it } from 'vitest';
import { bootstrapArguments } from '../../../src/tools/mmdebstrap.ts';

const what = { suite: 'bookworm', target: '/s/tree', sourcesFile: '/t/debian.sources' };

it('mmdebstrap makes a directory from the sources of a file', () => {
  expect(
    bootstrapArguments({
      ...what,
      packages: ['systemd', 'git'],
      aptOptions: ['Acquire::Retries "3"', '-x'],
    }),
  ).toEqual([
    '--mode=root',
    '--variant=minbase',
    '--format=directory',
    '--verbose',
    '--dpkgopt=force-unsafe-io',
    '--include=systemd,git',
    '--aptopt=Acquire::Retries "3"',
    '--aptopt=-x',
    '--',
    'bookworm',
    '/s/tree',
    '/t/debian.sources',
  ]);
});

it('mmdebstrap is not told to include nothing', () => {
  const args = bootstrapArguments({ ...what, packages: [], aptOptions: [] });
  expect(args.filter((arg) => arg.startsWith('--include'))).toEqual([]);
});
