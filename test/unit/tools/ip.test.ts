import { describe, expect, it } from 'vitest';
import { HostError } from '../../../src/errors.ts';
import { parseLinks } from '../../../src/tools/ip.ts';

// iproute2 6.1, some fields left out.
const captured = `[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK"],"mtu":65536,"operstate":"DOWN","link_type":"loopback"},{"ifindex":2,"link":"ve-nsr1-aaaiHK","ifname":"eth-x","flags":["BROADCAST","MULTICAST","M-DOWN"],"mtu":1500,"link_type":"ether"},{"ifindex":3,"link":"eth-x","ifname":"ve-nsr1-aaaiHK","flags":["BROADCAST","MULTICAST","M-DOWN"],"mtu":1500,"link_type":"ether","altnames":["ve-nsr1-aaaaaaaa-7"]}]`;

describe('parseLinks', () => {
  it('takes what ip says', () => {
    expect(parseLinks(captured)).toEqual([
      { name: 'lo', alternativeNames: [] },
      { name: 'eth-x', alternativeNames: [] },
      { name: 've-nsr1-aaaiHK', alternativeNames: ['ve-nsr1-aaaaaaaa-7'] },
    ]);
  });

  it.each([
    ['nothing', ''],
    ['no links', '[]'],
    ['an empty entry, as for links that a filter leaves out', '[{}]'],
    ['a name that is none', '[{"ifname":7}]'],
    ['nulls', '[null,null]'],
    ['something else', '{"ifname":"lo"}'],
  ])('finds none in %s', (_, text) => {
    expect(parseLinks(text)).toEqual([]);
  });

  it('leaves out other names that are none', () => {
    const text = '[{"ifname":"a","altnames":[1,null,"b"]},{"ifname":"c","altnames":"d"}]';
    expect(parseLinks(text)).toEqual([
      { name: 'a', alternativeNames: ['b'] },
      { name: 'c', alternativeNames: [] },
    ]);
  });

  it.each([captured.slice(0, 60), 'Usage: ip [ OPTIONS ]', '[{'])('refuses %j', (text) => {
    expect(() => parseLinks(text)).toThrow(HostError);
    expect(() => parseLinks(text)).toThrow('ip gave an answer that is no JSON.');
  });
});
