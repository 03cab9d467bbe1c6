import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HostError, UsageError, type Failure } from '../../../src/errors.ts';
import { jobDirectory } from '../../../src/machine/job-directory.ts';
import { writeRecord } from '../../../src/machine/record.ts';
import { requireFreeSpace } from '../../../src/upkeep/disk-space.ts';
import {
  isChrootThere,
  removeChroot,
  removeOldVersion,
} from '../../../src/upkeep/remove-chroot.ts';
import { requireChroot } from '../../../src/upkeep/require-chroot.ts';
import { aRecord, MACHINE } from '../reaper/made-up.ts';

const OLD = '20261119T220713Z-99cd6a';
const CURRENT = '20261120T220713Z-99cd6a';

let stateDir = '';
let dir = '';
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'remove-'));
  dir = join(stateDir, 'chroots/web');
  for (const version of [OLD, CURRENT]) {
    mkdirSync(join(dir, 'versions', version, 'tree'), { recursive: true });
  }
  symlinkSync(`versions/${CURRENT}`, join(dir, 'current'));
});
afterEach(() => {
  rmSync(stateDir, { recursive: true });
});
function job(): string {
  const { path, record } = jobDirectory(stateDir, MACHINE);
  mkdirSync(path, { recursive: true });
  return record;
}
const use = (chroot: string, chrootVersion: string): void =>
  writeRecord(job(), aRecord({ chroot, chrootVersion }));
const failureOf = (work: Promise<unknown>): Promise<Failure> =>
  work.then(
    () => expect.fail('no failure'),
    (error: unknown) => error as Failure,
  );
function expectAllThere(): void {
  expect(readdirSync(join(dir, 'versions')).sort()).toEqual([OLD, CURRENT]);
  expect(readlinkSync(join(dir, 'current'))).toBe(`versions/${CURRENT}`);
  expect(readdirSync(dir).filter((name) => name.startsWith('building-'))).toEqual([]);
}

describe('a chroot that is removed', () => {
  it('is gone with all its versions, and no other is', async () => {
    use('api', CURRENT);
    mkdirSync(join(stateDir, 'chroots/web-2'));
    await removeChroot(stateDir, 'web');
    expect(readdirSync(join(stateDir, 'chroots'))).toEqual(['web-2']);
    expect(await isChrootThere(stateDir, 'web')).toBe(false);
  });

  it('may be what a failed build left', async () => {
    rmSync(join(dir, 'current'));
    expect(await isChrootThere(stateDir, 'web')).toBe(true);
    await removeChroot(stateDir, 'web');
    expect(existsSync(dir)).toBe(false);
  });

  it.each([OLD, CURRENT])('stays as it was while a job uses version %s', async (version) => {
    use('web', version);
    const failure = await failureOf(removeChroot(stateDir, 'web'));
    expect(failure).toBeInstanceOf(HostError);
    expect(failure.message).toBe('Chroot "web" is in use and was not removed.');
    expect(failure.details).toEqual([`Machine "${MACHINE}" uses version ${version}.`]);
    expectAllThere();
  });

  it('stays as it was while a record cannot be read', async () => {
    writeFileSync(job(), '{');
    const failure = await failureOf(removeChroot(stateDir, 'web'));
    expect(failure.message).toBe('Chroot "web" may be in use and was not removed.');
    expectAllThere();
  });
});

describe('an old version that is removed', () => {
  it('is gone, and the current one stays', async () => {
    use('web', CURRENT);
    await removeOldVersion(stateDir, 'web', OLD);
    expect(readdirSync(join(dir, 'versions'))).toEqual([CURRENT]);
    expect(readlinkSync(join(dir, 'current'))).toBe(`versions/${CURRENT}`);
  });

  it('stays while a job uses it', async () => {
    use('web', OLD);
    expect(await failureOf(removeOldVersion(stateDir, 'web', OLD))).toBeInstanceOf(HostError);
    expectAllThere();
  });

  it.each([
    [CURRENT, `Version "${CURRENT}" of chroot "web" is the current one.`],
    ['../../etc', 'Chroot "web" has no version "../../etc".'],
    ['', 'Chroot "web" has no version "".'],
  ])('is not %j', async (version, message) => {
    const failure = await failureOf(removeOldVersion(stateDir, 'web', version));
    expect(failure).toBeInstanceOf(UsageError);
    expect(failure.message).toBe(message);
    expectAllThere();
  });
});

describe('a chroot that a person names', () => {
  it('is found, or one with nearly that name is offered', async () => {
    expect(await requireChroot('web', { stateDir })).toMatchObject({ version: CURRENT });
    const failure = await failureOf(requireChroot('wep', { stateDir }));
    expect(failure).toBeInstanceOf(UsageError);
    expect(failure.message).toBe('There is no chroot "wep".');
    expect(failure.details).toEqual(['Chroots: web.']);
    expect(failure.hint).toBe('Did you mean "web"?');
    const none = await failureOf(requireChroot('debian-12', { stateDir: '/nowhere' }));
    expect(none.details).toEqual(['Chroots: none.']);
    expect(none.hint).toBe('Make it with: nspawn-runner chroot create debian-12');
  });
});

describe('free space', () => {
  it.each([{ bytes: 0 }, { percent: 0 }, {}])('is enough for %j', async (minimumFreeSpace) => {
    await expect(requireFreeSpace({ stateDir, minimumFreeSpace })).resolves.toBeUndefined();
  });

  it.each([{ bytes: 2 ** 60 }, { percent: 100 }])('is short of %j', async (minimumFreeSpace) => {
    const failure = await failureOf(requireFreeSpace({ stateDir, minimumFreeSpace }));
    expect(failure).toBeInstanceOf(HostError);
    expect(failure.message).toBe(`The disk of "${stateDir}" is short of space: nothing is built.`);
    expect(failure.details[0]).toMatch(
      /^\d+ MiB of \d+ MiB are free; minimum_free_space asks for \d+ MiB\.$/,
    );
  });

  it('is asked for where the state directory is not there yet', async () => {
    const fresh = join(stateDir, 'a/b');
    await requireFreeSpace({ stateDir: fresh, minimumFreeSpace: {} });
    expect(existsSync(fresh)).toBe(true);
  });
});
