import { describe, expect, it } from 'vitest';
import { judgeExit, type DriverEnd } from '../../../src/runner/verdict.ts';

const exited = (status: number | undefined, signal?: string): DriverEnd => ({
  kind: 'exited',
  status,
  signal,
});
const unknown = (code: number): string => `unknown Custom executor executable exit code ${code}`;

describe('judgeExit', () => {
  it.each([
    ['0', exited(0), '9', 'success', undefined],
    ['1 without a file', exited(1), undefined, 'build-failure exit 1', 'exit status 1'],
    ['1 with a code', exited(1), '42\n', 'build-failure exit 42', 'exit status 42'],
    ['1, first line only', exited(1), '42\r\nmore', 'build-failure exit 42', 'exit status 42'],
    ['1 with a sign', exited(1), '-3', 'build-failure exit -3', 'exit status -3'],
    ['1 with a blank', exited(1), ' 42', 'system-failure', unknown(2)],
    ['1 with nothing', exited(1), '', 'system-failure', unknown(2)],
    ['2', exited(2), '42', 'system-failure', 'exit status 2'],
    ['3', exited(3), undefined, 'system-failure', unknown(3)],
    ['a signal', exited(undefined, 'SIGKILL'), undefined, 'system-failure', unknown(-1)],
    [
      'no start',
      { kind: 'not-started', reason: 'no such file' } satisfies DriverEnd,
      undefined,
      'system-failure',
      'failed to start command: no such file',
    ],
    [
      'no end',
      { kind: 'gave-up', pid: 7 } satisfies DriverEnd,
      undefined,
      'system-failure',
      'failed to kill process PID=7, likely process is dormant',
    ],
  ])('%s', (_name, end, file, kind, message) => {
    const verdict = judgeExit(end, file);
    const code = verdict.kind === 'build-failure' ? ` exit ${verdict.exitCode}` : '';
    expect(`${verdict.kind}${code}`).toBe(kind);
    expect('message' in verdict ? verdict.message : undefined).toBe(message);
  });
});
