import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { jobDirectory } from '../../../src/machine/job-directory.ts';
import { writeRecord } from '../../../src/machine/record.ts';
import { versionsInUse } from '../../../src/machine/versions-in-use.ts';
import { aRecord, MACHINE, OTHER } from '../reaper/made-up.ts';

let stateDir = '';
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'versions-'));
});
afterEach(() => {
  rmSync(stateDir, { recursive: true });
});

function makeJob(machine: string): string {
  const { path, record } = jobDirectory(stateDir, machine);
  mkdirSync(path, { recursive: true });
  return record;
}

describe('versionsInUse', () => {
  it('is certain where no job ever ran', async () => {
    expect(await versionsInUse(stateDir)).toEqual({ versions: [], isCertain: true });
  });

  it('names what each record names; a directory without one uses nothing', async () => {
    writeRecord(makeJob(MACHINE), aRecord({ chrootVersion: '1' }));
    writeRecord(
      makeJob(OTHER),
      aRecord({ machine: OTHER, chroot: 'a', chrootVersion: '2', isTrial: true }),
    );
    makeJob('nsr1-cccccccc-8');
    const { versions, isCertain } = await versionsInUse(stateDir);
    expect(isCertain).toBe(true);
    expect(new Set(versions)).toEqual(
      new Set([
        { chroot: 'debian-12', version: '1', machine: MACHINE },
        { chroot: 'a', version: '2', machine: OTHER },
      ]),
    );
  });

  it.each<[string, (path: string) => void]>([
    ['torn', (path) => writeFileSync(path, '{"format":1,')],
    ['of a newer format', (path) => writeFileSync(path, '{"format":2}')],
    ['a directory', (path) => mkdirSync(path)],
    ['a link', (path) => symlinkSync('/etc/passwd', path)],
    ['too big', (path) => writeFileSync(path, ' '.repeat(70_000))],
  ])('is not certain beside a record that is %s', async (_, leave) => {
    writeRecord(makeJob(MACHINE), aRecord());
    leave(makeJob(OTHER));
    const { versions, isCertain } = await versionsInUse(stateDir);
    expect([versions.map(({ machine }) => machine), isCertain]).toEqual([[MACHINE], false]);
  });

  it('is not certain where the jobs cannot be listed', async () => {
    writeFileSync(join(stateDir, 'jobs'), '');
    expect(await versionsInUse(stateDir)).toEqual({ versions: [], isCertain: false });
  });
});
