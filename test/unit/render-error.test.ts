import { describe, expect, it } from 'vitest';
import { CommandError, HostError, JobError, type CommandFacts } from '../../src/errors.ts';
import { renderError } from '../../src/render-error.ts';

const command: CommandFacts = {
  argv: ['systemd-run', '--unit=a b', '--', 'true'],
  exitStatus: 1,
  signal: undefined,
  timedOutAfterSec: undefined,
  stderrTail: 'first\nsecond\n',
  durationMs: 421,
};

describe('a failure reads', () => {
  const cases: [string, unknown, string][] = [
    [
      'what, facts, what to do',
      new JobError('Image "debian-14" is not available on this runner.', {
        details: ['Available: debian-12, debian-13.'],
        hint: 'Use one of these in `image:`.',
      }),
      `Image "debian-14" is not available on this runner.
  Available: debian-12, debian-13.
Use one of these in \`image:\`.
`,
    ],
    ['short where there is no more to say', new HostError('No.'), 'No.\n'],
    [
      'with indented lines of a fact',
      new HostError('No.', { details: ['one\ntwo'] }),
      'No.\n  one\n  two\n',
    ],
    [
      'with the command to paste',
      new CommandError('systemd-run ended with exit status 1.', command, { hint: 'Look.' }),
      `systemd-run ended with exit status 1.
  | first
  | second
  Command (exit status 1 after 0.42 s): systemd-run '--unit=a b' -- true
Look.
`,
    ],
    [
      'with the signal',
      new CommandError('x was killed.', { ...command, signal: 'SIGKILL', stderrTail: '' }),
      `x was killed.
  Command (SIGKILL after 0.42 s): systemd-run '--unit=a b' -- true
`,
    ],
    [
      'with the time limit',
      new CommandError('x did not end within 60 s.', {
        ...command,
        exitStatus: undefined,
        timedOutAfterSec: 60,
        stderrTail: '',
      }),
      `x did not end within 60 s.
  Command (stopped after 60 s): systemd-run '--unit=a b' -- true
`,
    ],
    [
      'with its causes',
      new HostError('Machine "m" did not become ready within 60 s.', {
        details: ['Last line of its journal.'],
        hint: 'Look.',
        cause: new CommandError('systemd-run ended with exit status 1.', command, {
          cause: new Error('deep'),
        }),
      }),
      `Machine "m" did not become ready within 60 s.
  Last line of its journal.
  Cause: systemd-run ended with exit status 1.
    | first
    | second
    Command (exit status 1 after 0.42 s): systemd-run '--unit=a b' -- true
  Cause: deep
Look.
`,
    ],
    [
      'without a cause that it names itself',
      new HostError('No.', { details: ['ENOENT: x'], cause: new Error('ENOENT: x') }),
      'No.\n  ENOENT: x\n',
    ],
    [
      'one by one where several things failed',
      new AggregateError([new HostError('A.', { hint: 'Do a.' }), new HostError('B.')], 'Two.'),
      'Two.\nA.\nDo a.\nB.\n',
    ],
    [
      'with all causes where several are one',
      new HostError('No.', { cause: new AggregateError([new Error('a'), new Error('b')]) }),
      'No.\n  Cause: a\n  Cause: b\n',
    ],
    [
      'as a bug where nobody expected it',
      'a string',
      "'a string'\nThis is a bug in nspawn-runner, please report it.\n",
    ],
  ];
  it.each(cases)('%s', (_, error, text) => {
    expect(renderError(error)).toBe(text);
  });

  it('with the stack of a bug', () => {
    const text = renderError(new TypeError('x is undefined', { cause: new Error('why') }));
    expect(text).toMatch(/^TypeError: x is undefined\n {4}at .*\n/);
    expect(text).toMatch(/\n {2}Cause: why\nThis is a bug in nspawn-runner, please report it\.\n$/);
  });

  it('even when its causes are a circle', () => {
    const error = new HostError('No.');
    error.cause = new Error('round', { cause: error });
    expect(renderError(error)).toContain('No.\n  Cause: round\n');
  });
});
