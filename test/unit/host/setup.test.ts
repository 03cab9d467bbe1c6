import { describe, expect, it } from 'vitest';
import { judgeImages, judgeBootstraps } from '../../../src/host/base-trees.ts';
import { failing, ok, renderFindings, warning } from '../../../src/host/finding.ts';
import {
  judgeConfigToml,
  judgeRunnerBinary,
  judgeRunnerUnit,
  judgeSlice,
} from '../../../src/host/gitlab-runner.ts';
import { fileSystemName, judgeStateDirectory } from '../../../src/host/storage.ts';

const good = { LoadState: 'loaded', User: '', KillMode: 'mixed', KillSignal: '3' };

describe('judgeRunnerUnit', () => {
  it.each([
    [good, 'ok'],
    [{ ...good, User: 'root' }, 'ok'],
    [{ ...good, User: 'gitlab-runner' }, 'warn'],
    [{ ...good, KillMode: 'control-group' }, 'warn'],
    [{ ...good, KillSignal: '15' }, 'warn'],
    [{ LoadState: 'not-found' }, 'warn'],
  ])('%j: %s', (unit, level) => {
    expect(judgeRunnerUnit(unit).level).toBe(level);
  });

  it('says how long a stop waits', () => {
    expect(judgeRunnerUnit({ ...good, TimeoutStopUSec: '2h' }).finding).toBe(
      'drains when it is stopped, for up to 2h',
    );
  });
});

describe('judgeRunnerBinary', () => {
  it('says what a missing one costs', () => {
    expect(judgeRunnerBinary({ path: undefined, setting: 'auto' })).toEqual({
      level: 'warn',
      object: 'gitlab-runner',
      finding: 'not found: artifacts and cache of jobs are skipped',
      todo: 'Install GitLab Runner (docs.gitlab.com/runner/install), or name its binary as gitlab_runner in the settings.',
    });
    expect(judgeRunnerBinary({ path: undefined, setting: 'none' }).level).toBe('warn');
    expect(judgeRunnerBinary({ path: '/usr/bin/gitlab-runner', setting: 'auto' }).level).toBe('ok');
  });
});

it('looks for a section that calls us', () => {
  expect(judgeConfigToml('/c', 'run_exec = "/usr/local/bin/nspawn-runner"').level).toBe('ok');
  expect(judgeConfigToml('/c', 'concurrent = 1').finding).toBe('/c does not call nspawn-runner');
  expect(judgeConfigToml('/c', undefined).finding).toBe(
    '/c is not there, or only root may read it',
  );
});

it('looks for the unit file of the slice', () => {
  expect(judgeSlice('a.slice', '/lib/a.slice').level).toBe('ok');
  expect(judgeSlice('a.slice', '').level).toBe('warn');
});

describe('judgeStateDirectory', () => {
  const state = {
    path: '/s',
    mode: 0o40700,
    fileSystem: 'ext4',
    freeBytes: 20 * 1024 ** 3,
    overlay: '',
  };
  it.each([
    [{}, ['ok', 'ok', 'ok']],
    [{ overlay: undefined }, ['ok', 'ok']],
    [{ overlay: undefined, fileSystem: 'nfs' }, ['ok', 'fail', 'ok']],
    [{ overlay: 'wrong fs type', fileSystem: 'overlay' }, ['ok', 'fail', 'ok']],
    [{ fileSystem: 'tmpfs' }, ['ok', 'warn', 'ok']],
    [{ mode: undefined, overlay: undefined }, ['warn', 'ok']],
    [{ mode: 0o40755 }, ['warn', 'ok', 'ok']],
    [{ freeBytes: 1024 ** 3 }, ['ok', 'ok', 'warn']],
  ])('%j', (differences, levels) => {
    const findings = judgeStateDirectory({ ...state, ...differences });
    expect(findings.map(({ level }) => level)).toEqual(levels);
  });

  it('repeats what mount said', () => {
    const [, overlay] = judgeStateDirectory({ ...state, fileSystem: 'overlay', overlay: 'no way' });
    expect(overlay).toEqual({
      level: 'fail',
      object: 'overlay',
      finding: 'cannot be mounted in /s (overlay): no way',
      todo: 'Put state_dir in the settings on a file system such as ext4, xfs or btrfs.',
    });
  });

  it('names file systems', () => {
    expect([0xef53, 0x01021994, 0x1234].map(fileSystemName)).toEqual(['ext4', 'tmpfs', '0x1234']);
  });
});

describe('judgeImages', () => {
  it('fails without a chroot', () => {
    expect(judgeImages({ chroots: [], images: { a: 'b' }, defaultProblem: 'x' })).toEqual([
      {
        level: 'fail',
        object: 'chroots',
        finding: 'none',
        todo: '`nspawn-runner chroot create debian-12` makes one.',
      },
    ]);
  });

  it('warns of settings that lead nowhere', () => {
    const findings = judgeImages({
      chroots: ['debian-12'],
      images: { 'ruby:3': 'ruby', 'debian:12': 'debian-12' },
      defaultProblem: 'Image "x" is not available.',
    });
    expect(findings.map(({ level, finding }) => `${level}: ${finding}`)).toEqual([
      'ok: debian-12',
      'warn: the settings map "ruby:3" to the chroot "ruby", which is not there',
      'warn: Image "x" is not available.',
    ]);
  });
});

describe('judgeBootstraps', () => {
  const [mmdebstrap, debootstrap] = ['mmdebstrap 1.5.7', 'debootstrap 1.0.128+nmu2'];

  it.each([
    [{ mmdebstrap, debootstrap }, 'mmdebstrap', '1.5.7'],
    [{ mmdebstrap, debootstrap: undefined }, 'mmdebstrap', '1.5.7'],
    [{ mmdebstrap: undefined, debootstrap }, 'debootstrap', '1.0.128+nmu2'],
  ])('%j is enough', (found, check, finding) => {
    expect(judgeBootstraps(found)).toMatchObject({ level: 'ok', object: check, finding });
  });

  it('says what needs one where there is none', () => {
    expect(judgeBootstraps({ mmdebstrap: undefined, debootstrap: undefined })).toMatchObject({
      level: 'warn',
      finding:
        'neither mmdebstrap nor debootstrap is installed: `debian` and `ubuntu` recipes need one of them',
    });
  });
});

describe('renderFindings', () => {
  it('ends with the verdict', () => {
    expect(renderFindings([ok('a', 'fine'), warning('long', 'slow', 'Hurry.')])).toBe(
      [
        'ok    a     fine',
        'warn  long  slow',
        '              Hurry.',
        '',
        'This host can run jobs; 1 warning.',
        '',
      ].join('\n'),
    );
    expect(renderFindings([failing('a', 'bad', 'Mend it.')])).toContain(
      'This host cannot run jobs yet: 1 check failed, no warnings.',
    );
  });
});
