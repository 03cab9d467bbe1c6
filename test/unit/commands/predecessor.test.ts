import { describe, expect, it } from 'vitest';
import { chrootOfImage } from '../../../src/commands/predecessor.ts';
import { UsageError } from '../../../src/errors.ts';

const JOB = { CUSTOM_ENV_CI_JOB_IMAGE: 'from/job:sid' };

describe('chrootOfImage', () => {
  it.each([
    [{ image: 'bookworm' }, {}, 'bookworm'],
    [{ image: 'debian:bookworm' }, {}, 'bookworm'],
    [{ image: 'registry.example.com:5000/salsa/pipeline/base:unstable' }, {}, 'unstable'],
    [{ image: 'registry.example.com/group/debian-12' }, {}, 'debian-12'],
    [{ image: 'a', 'default-image': 'b' }, JOB, 'a'],
    [{ 'default-image': 'b' }, JOB, 'sid'],
    [{ 'default-image': 'b' }, {}, 'b'],
  ])('%j, %j → %s', (args, env, name) => {
    expect(chrootOfImage(args, env)).toBe(name);
  });

  it.each([
    [{}],
    [{ image: '' }],
    [{ image: '.overlays' }],
    [{ image: 'x/..' }],
    [{ image: 'x:' }],
  ])('refuses %j', (args) => {
    expect(() => chrootOfImage(args, {})).toThrow(UsageError);
  });
});
