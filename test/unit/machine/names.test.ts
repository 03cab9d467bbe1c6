import { describe, expect, it } from 'vitest';
import { machineName, originHash, parseMachineName } from '../../../src/machine/names.ts';

describe('machineName', () => {
  it.each([
    ['gitlab.example.com', '1', 'nsr1-xbhc5dpn-1'],
    ['', '0', 'nsr1-4oymiquy-0'],
    ['gitlab.example.com', '9223372036854775807', 'nsr1-xbhc5dpn-9223372036854775807'],
  ])('of %j job %s is %s and parses back', (origin, id, name) => {
    expect(machineName({ origin, id })).toBe(name);
    expect(parseMachineName(name)).toEqual({
      format: 1,
      originHash: originHash(origin),
      jobId: id,
    });
  });

  it('is another for another instance, port or relative root, and no other for capitals', () => {
    const names = ['a.example', 'a.example:8443', 'a.example/gitlab', 'b.example', ''].map(
      (origin) => machineName({ origin, id: '7' }),
    );
    expect(new Set(names).size).toBe(names.length);
    expect(machineName({ origin: 'A.Example', id: '7' })).toBe(names[0]);
  });

  it.each(['', '-1', '1.5', '007', '1e3', '../x', '12345678901234567890', ' 1'])(
    'refuses %j as an id',
    (id) => {
      expect(() => machineName({ origin: '', id })).toThrow(`"${id}" is not a job id.`);
    },
  );

  it('fits a machine name and a host name', () => {
    expect(machineName({ origin: 'x'.repeat(300), id: '9'.repeat(19) })).toMatch(
      /^[a-z0-9-]{1,63}$/,
    );
  });
});

describe('parseMachineName', () => {
  it.each(['debian', 'nsr2-aaaaaaaa-1', 'nsr1-aaaaaaa-1', 'nsr1-aaaaaaa1-1', 'nsr1-aaaaaaaa-01'])(
    'does not take %s for ours',
    (name) => {
      expect(parseMachineName(name)).toBeUndefined();
    },
  );
});
