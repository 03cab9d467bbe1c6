import { describe, expect, it } from 'vitest';
import { CommandError } from '../../../src/errors.ts';
import { isUnknownToLibvirt, parseUuids } from '../../../src/tools/virsh.ts';

const A = 'e82b0771-d365-4158-b714-924d6e2b38d4';
const B = '9dbd65c8-0d08-4d08-b37a-c1419550f616';

describe('list --uuid', () => {
  it.each([
    ['', []],
    ['\n', []],
    [`${A}\n${B}\n\n`, [A, B]],
    [` ${A} \n${A}\nerror: x\n`, [A]],
    [`${A}${B}`, []],
  ])('%j', (text, expected) => {
    expect(parseUuids(text)).toEqual(expected);
  });
});

/** Captured from libvirt 9.0 and 11.3. */
describe('an error', () => {
  it.each([
    [`error: failed to get domain '${A}'`, true],
    [
      `error: failed to get pool '${A}'\nerror: Storage pool not found: no storage pool with matching name '${A}'`,
      true,
    ],
    [
      "error: failed to get vol 'nothing'\nerror: Storage volume not found: no storage vol with matching path 'nothing'",
      true,
    ],
    [
      `error: Failed to destroy domain '${A}'\nerror: Requested operation is not valid: domain is not running`,
      false,
    ],
    [
      "error: failed to connect to the hypervisor\nerror: Failed to connect socket to '/var/run/libvirt/libvirt-sock': No such file or directory",
      false,
    ],
    ['', false],
  ])('%s', (stderrTail, expected) => {
    const command = {
      argv: [],
      exitStatus: 1,
      signal: undefined,
      timedOutAfterSec: undefined,
      stderrTail,
      durationMs: 0,
    };
    expect(isUnknownToLibvirt(new CommandError('', command))).toBe(expected);
  });
});
