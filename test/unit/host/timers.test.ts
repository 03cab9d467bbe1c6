import { describe, expect, it } from 'vitest';
import { judgeTimer } from '../../../src/host/timers.ts';

const timer = { LoadState: 'loaded', UnitFileState: 'enabled', ActiveState: 'active' };
const service = { LoadState: 'loaded', Result: 'success', ExecMainExitTimestamp: '' };
const ended = 'Sat 2026-11-21 01:07:34 UTC';
const cost = 'nothing is looked for';
const reap = { name: 'nspawn-runner-reap', cost };

describe('judgeTimer', () => {
  it.each([
    [timer, { ...service, ExecMainExitTimestamp: ended }, `last run ended ${ended}`],
    [timer, service, 'runs; nothing is due yet'],
    [{ ...timer, UnitFileState: 'enabled-runtime' }, service, 'runs; nothing is due yet'],
  ])('%j, %j: fit', (units, runs, finding) => {
    expect(judgeTimer(reap, units, runs)).toEqual({
      level: 'ok',
      object: 'nspawn-runner-reap.timer',
      finding,
    });
  });

  const enable = '`systemctl enable --now nspawn-runner-reap.timer`';
  it.each([
    [{ ...timer, LoadState: 'not-found' }, service, `not installed: ${cost}`, 'scripts/install'],
    [timer, { ...service, LoadState: 'not-found' }, `not installed: ${cost}`, 'scripts/install'],
    [
      { ...timer, LoadState: 'masked' },
      { ...service, LoadState: 'masked' },
      `masked: ${cost}`,
      `\`systemctl unmask nspawn-runner-reap.timer nspawn-runner-reap.service\`, then ${enable}.`,
    ],
    [
      timer,
      { ...service, LoadState: 'bad-setting' },
      `its unit files cannot be used: ${cost}`,
      'systemctl status',
    ],
    [
      { ...timer, UnitFileState: 'disabled', ActiveState: 'inactive' },
      service,
      `disabled: ${cost}`,
      enable,
    ],
    [{ ...timer, ActiveState: 'inactive' }, service, `inactive: ${cost}`, enable],
    [{ ...timer, ActiveState: 'failed' }, service, `failed: ${cost}`, enable],
    [
      { ...timer, UnitFileState: 'disabled' },
      service,
      'runs, but will not after the next boot',
      enable,
    ],
    [
      timer,
      { ...service, Result: 'exit-code', ExecMainExitTimestamp: ended },
      `runs, but the last run failed (exit-code, ${ended})`,
      '`journalctl --unit=nspawn-runner-reap.service`',
    ],
    [
      timer,
      { ...service, Result: 'resources' },
      'runs, but the last run failed (resources)',
      '`journalctl --unit=nspawn-runner-reap.service`',
    ],
    [{}, {}, `its unit files cannot be used: ${cost}`, 'systemctl status'],
  ])('%j, %j: %s', (units, runs, finding, todo) => {
    const found = judgeTimer(reap, units, runs);
    expect(found).toMatchObject({ level: 'warn', finding });
    expect(found.todo).toContain(todo);
  });
});
