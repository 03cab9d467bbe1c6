import { describe, expect, it } from 'vitest';
import { makeControl, type Phase } from '../../../src/runner/control.ts';
import { lastLine, stageTitle } from '../../../src/runner/job-log.ts';
import { frame } from '../../../src/runner/shell/frame.ts';
import { printCommand, quote } from '../../../src/runner/shell/quote.ts';

describe('a cancel', () => {
  it.each<[Phase, string | undefined, string | undefined]>([
    ['before-script', 'canceled', 'canceled'],
    ['script', undefined, 'canceled'],
    ['after-script', undefined, undefined],
  ])('in %s ends the job for %s, the script for %s', (phase, job, script) => {
    const control = makeControl(() => undefined);
    control.enter(phase);
    control.cancel();
    expect(control.causeOf(control.job)).toBe(job);
    expect(control.causeOf(control.script)).toBe(script);
    expect(control.isCancelAsked()).toBe(true);
  });

  it('is told once, and the first abort gives the cause', () => {
    const told: string[] = [];
    const control = makeControl((how, cause) => told.push(`${how} ${cause}`));
    control.enter('script');
    control.cancel();
    control.cancel();
    control.abort('timeout');
    control.abort('interrupted');
    expect(told).toEqual(['cancel canceled', 'abort timeout']);
    expect(control.causeOf(control.script)).toBe('canceled');
  });
});

describe('the log', () => {
  const plain = (text: string): string => text.replace(/\u001b\[[0-9;]*m/g, '');

  it.each([
    [{}, 'Job succeeded'],
    [
      { failure: { kind: 'build-failure', exitCode: 3, message: 'exit status 3' } },
      'ERROR: Job failed: exit status 3',
    ],
    [
      { failure: { kind: 'system-failure', message: 'exit status 2' } },
      'ERROR: Job failed (system failure): exit status 2',
    ],
    [{ cause: 'canceled' }, 'ERROR: Job failed: canceled'],
    [{ cause: 'timeout' }, 'ERROR: Job failed: execution took longer than 60 seconds'],
    [{ cause: 'interrupted' }, 'ERROR: Job failed: aborted: terminated'],
  ] as const)('ends with what happened: %j', (ending, text) => {
    expect(plain(lastLine(ending, 60))).toBe(text);
  });

  it.each([
    ['build_script', 'Executing "step_script" stage of the job script'],
    ['step_release', 'Executing "step_release" stage of the job script'],
    ['get_sources', 'Getting source from Git repository'],
  ])('calls %s what GitLab calls it', (stage, title) => {
    expect(plain(stageTitle(stage))).toBe(title);
  });
});

describe('scripts', () => {
  it('quotes whatever there is', () => {
    expect(quote(`it's "$x"\n`)).toBe(`'it'\\''s "$x"\n'`);
  });

  it('shows the first line of a command', () => {
    expect(printCommand('a\nb\n')).toContain('$ a # collapsed multi-line command');
    expect(printCommand('a\n')).not.toContain('collapsed');
  });

  it('have a frame that the shell reads whole before it runs any of it', () => {
    expect(frame('sh', ['echo hi']).split('\n')).toEqual([
      '#!/usr/bin/env sh',
      '',
      "trap 'exit 1' TERM",
      'if (set -o pipefail) 2>/dev/null; then set -o pipefail; fi',
      'set -o errexit',
      'set +o noclobber',
      '(',
      ':',
      'echo hi',
      ') </dev/null',
      'exit 0',
      '',
    ]);
  });
});
