import { describe, expect, it } from 'vitest';
import type { JobResponse, When } from '../../../src/runner/job.ts';
import {
  endingStages,
  fetchingStages,
  ignoresAfterScriptFailure,
  stageAttempts,
} from '../../../src/runner/plan.ts';
import { durationMs } from '../../../src/runner/duration.ts';
import { jobTimeoutSec, RUNNER_TIMING, stageRetryWaitSec } from '../../../src/runner/timing.ts';
import { responseOf } from '../../runner-emulator.ts';

const withFiles = (when: When): Partial<JobResponse> => ({
  cache: [{ paths: ['a'], when }],
  artifacts: [{ paths: ['a'], when }],
});
const job = (response: Partial<JobResponse>): JobResponse =>
  responseOf({ afterScript: ['true'], response });
const variables = (values: Readonly<Record<string, string>>) =>
  new Map(
    Object.entries(values).map(([key, value]) => [
      key,
      { key, value, content: value, isFile: false },
    ]),
  );

describe('fetchingStages', () => {
  it.each<[string, Partial<JobResponse>, string[]]>([
    ['nothing', {}, ['get_sources']],
    ['a cache', { cache: [{ paths: ['a'] }] }, ['get_sources', 'restore_cache']],
    [
      'a cache that is only written',
      { cache: [{ paths: ['a'], policy: 'push' }] },
      ['get_sources'],
    ],
    ['a cache without paths', { cache: [{ paths: [] }] }, ['get_sources']],
    ['null', { cache: null, dependencies: null }, ['get_sources']],
    [
      'dependencies, one with a file',
      {
        dependencies: [
          { id: 1, token: '', name: 'a' },
          { id: 2, token: '', name: 'b', artifacts_file: { filename: 'f' } },
        ],
      },
      ['get_sources', 'download_artifacts'],
    ],
  ])('%s', (_name, response, expected) => {
    expect(fetchingStages(job(response))).toEqual(expected);
  });
});

describe('endingStages', () => {
  it.each<[string, When, 'succeeded' | 'failed' | 'stopped', boolean, string[]]>([
    [
      'success',
      'on_success',
      'succeeded',
      true,
      ['after_script', 'archive_cache', 'upload_artifacts_on_success'],
    ],
    ['success, files of failures', 'on_failure', 'succeeded', true, ['after_script']],
    ['failure', 'on_success', 'failed', true, ['after_script']],
    [
      'failure, files of both',
      'always',
      'failed',
      true,
      ['after_script', 'archive_cache_on_failure', 'upload_artifacts_on_failure'],
    ],
    [
      'failure before the script',
      'on_failure',
      'failed',
      false,
      ['archive_cache_on_failure', 'upload_artifacts_on_failure'],
    ],
  ])('%s', (_name, when, course, reachedScript, expected) => {
    expect(endingStages(job(withFiles(when)), course, reachedScript)).toEqual([
      ...expected,
      'cleanup_file_variables',
    ]);
  });

  it('an abort leaves nothing to do', () => {
    expect(endingStages(job(withFiles('always')), 'stopped', true)).toEqual([]);
  });
});

describe('variables that decide', () => {
  it.each([
    [undefined, 1],
    ['3', 3],
    ['0', 1],
    ['-2', 1],
    ['99', 10],
    ['many', 1],
  ])('GET_SOURCES_ATTEMPTS=%s is %i', (text, attempts) => {
    const given = variables(text === undefined ? {} : { GET_SOURCES_ATTEMPTS: text });
    expect(stageAttempts('get_sources', given)).toBe(attempts);
    expect(stageAttempts('build_script', given)).toBe(1);
  });

  it.each([
    ['', true],
    ['true', true],
    ['odd', true],
    ['false', false],
    ['0', false],
  ])('AFTER_SCRIPT_IGNORE_ERRORS=%s is %s', (text, ignores) => {
    expect(ignoresAfterScriptFailure(variables({ AFTER_SCRIPT_IGNORE_ERRORS: text }))).toBe(
      ignores,
    );
  });

  it.each([
    ['5s', 5000],
    ['1h30m', 5_400_000],
    ['250ms', 250],
    ['1.5s', 1500],
    ['0s', undefined],
    ['5', undefined],
    ['', undefined],
    ['-5s', undefined],
  ])('a duration %s is %s ms', (text, expected) => {
    expect(durationMs(text)).toBe(expected);
  });
});

describe('timing', () => {
  it('waits longer each time, to a limit', () => {
    const waits = [1, 2, 3, 8, 10].map((attempt) => stageRetryWaitSec(attempt, RUNNER_TIMING));
    expect(waits).toEqual([0, 5, 10, 300, 300]);
  });

  it('has two hours for a job without a timeout', () => {
    expect([0, -1, 60].map(jobTimeoutSec)).toEqual([7200, 7200, 60]);
  });
});
