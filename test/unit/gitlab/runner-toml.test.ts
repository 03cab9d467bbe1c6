import { parse } from 'smol-toml';
import { describe, expect, it } from 'vitest';
import {
  runnerSection,
  runnerTimeouts,
  templateConfig,
  type RunnerSection,
} from '../../../src/gitlab/runner-toml.ts';

const timeouts = runnerTimeouts({
  bootTimeoutSec: 60,
  stopTimeoutSec: 3,
  scriptStopTimeoutSec: 10,
});

const section: RunnerSection = {
  name: 'build-1',
  url: 'https://gitlab.example.com/',
  program: ['/usr/local/bin/nspawn-runner'],
  timeouts,
};

describe('runnerSection', () => {
  it('is a working section', () => {
    expect(parse(runnerSection(section))).toEqual({
      runners: [
        {
          name: 'build-1',
          url: 'https://gitlab.example.com/',
          token: 'REPLACE-ME',
          executor: 'custom',
          custom: {
            config_exec: '/usr/local/bin/nspawn-runner',
            config_args: ['config', '--runner=build-1'],
            config_exec_timeout: 60,
            prepare_exec: '/usr/local/bin/nspawn-runner',
            prepare_args: ['prepare', '--runner=build-1'],
            prepare_exec_timeout: 300,
            run_exec: '/usr/local/bin/nspawn-runner',
            run_args: ['run', '--runner=build-1'],
            cleanup_exec: '/usr/local/bin/nspawn-runner',
            cleanup_args: ['cleanup', '--runner=build-1'],
            cleanup_exec_timeout: 303,
            graceful_kill_timeout: 60,
            force_kill_timeout: 10,
          },
        },
      ],
    });
  });

  it('calls a checkout through node, with the settings last', () => {
    const text = runnerSection({
      ...section,
      program: ['/usr/bin/node', '/src/dist/nspawn-runner.cjs'],
      settingsFile: '/srv/s.yaml',
    });
    expect(text).toContain('run_exec = "/usr/bin/node"');
    expect(text).toContain(
      'run_args = ["/src/dist/nspawn-runner.cjs", "run", "--runner=build-1", "--settings=/srv/s.yaml"]',
    );
  });

  it.each([
    'a "b"',
    'back\\slash',
    'tab\tnewline\n[[runners]]',
    'ünïcode ☃',
    '\u007f\u0000',
    "it's",
  ])('keeps the name %j', (name) => {
    for (const print of [runnerSection, templateConfig]) {
      const { runners } = parse(print({ ...section, name, url: name })) as {
        runners: [{ custom: { run_args: string[] } }];
      };
      expect(runners).toHaveLength(1);
      expect(runners[0].custom.run_args).toEqual(['run', `--runner=${name}`]);
    }
  });
});

describe('templateConfig', () => {
  it('holds one section, without what register asks for', () => {
    const template = parse(templateConfig(section));
    const { runners } = parse(runnerSection(section)) as { runners: [Record<string, unknown>] };
    expect(template).toEqual({
      runners: [{ executor: 'custom', custom: runners[0]['custom'] }],
    });
  });

  it('shows the command line to register with', () => {
    expect(templateConfig({ ...section, name: "Ann's host" })).toContain(
      "--executor=custom --name='Ann'\\''s host' \\",
    );
  });
});

describe('runnerTimeouts', () => {
  it.each([0, 1, 10, 100, 180, 1000])(
    'leaves less than 5 min from abort to the end of a stage, script_stop_timeout %d',
    (scriptStopTimeoutSec) => {
      const { gracefulKill, forceKill } = runnerTimeouts({
        bootTimeoutSec: 60,
        stopTimeoutSec: 3,
        scriptStopTimeoutSec,
      });
      expect(gracefulKill + forceKill).toBeLessThanOrEqual(240);
      expect(gracefulKill).toBeGreaterThan(0);
    },
  );

  it('grows with the settings', () => {
    expect(
      runnerTimeouts({ bootTimeoutSec: 600, stopTimeoutSec: 30.5, scriptStopTimeoutSec: 30 }),
    ).toEqual({
      config: 60,
      prepare: 840,
      cleanup: 331,
      gracefulKill: 80,
      forceKill: 10,
      shutdown: 421,
    });
  });
});
