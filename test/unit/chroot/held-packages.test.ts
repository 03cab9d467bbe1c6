import { describe, expect, it } from 'vitest';
import { heldNames } from '../../../src/chroot/held-packages.ts';

const stanza = (name: string, status: string, architecture: string): string =>
  [
    `Package: ${name}`,
    `Status: ${status}`,
    'Conffiles:',
    ' /etc/Package: x 0123',
    `Architecture: ${architecture}`,
    'Description: Status: hold ok installed',
  ].join('\n');
const statusOf = (...stanzas: string[]): string =>
  [stanza('dpkg', 'install ok installed', 'amd64'), ...stanzas].join('\n\n');

describe('the names of held packages', () => {
  it.each([
    ['of the tree itself', 'hold ok installed', 'amd64', ['curl', 'curl:amd64']],
    ['of all architectures', 'hold ok installed', 'all', ['curl', 'curl:all', 'curl:amd64']],
    ['of another architecture', 'hold ok installed', 'i386', ['curl:i386']],
    ['not held', 'install ok installed', 'amd64', []],
    ['held and removed', 'hold ok config-files', 'amd64', []],
    ['held and never there', 'hold ok not-installed', 'amd64', []],
  ])('%s', (_, status, architecture, names) => {
    expect([...heldNames(statusOf(stanza('curl', status, architecture)))].sort()).toEqual(names);
  });

  it('are none where there is no dpkg', () => {
    expect(heldNames('').size).toBe(0);
  });
});
