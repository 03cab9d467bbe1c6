import { describe, expect, it } from 'vitest';
import { parseMachineList } from '../../../src/tools/machinectl-list.ts';

describe('machinectl list --output=json', () => {
  it.each([
    // Captured from 252 and 257.
    [
      '[{"machine":".host","class":"host","service":null,"os":"debian","version":"13","addresses":"10.0.2.100\\nfe80::1"},{"machine":"tn","class":"container","service":"systemd-nspawn","os":"test","version":null,"addresses":null}]',
      ['.host', 'tn'],
    ],
    ['[]', []],
    ['', []],
  ])('%s', (text, expected) => {
    expect(parseMachineList(text).map(({ machine }) => machine)).toEqual(expected);
  });

  it.each(['No machines.', '{}', '[{"name":"x"}]', '[1]'])('is refused: %s', (text) => {
    expect(() => parseMachineList(text)).toThrow(/machinectl gave a list/);
  });
});
