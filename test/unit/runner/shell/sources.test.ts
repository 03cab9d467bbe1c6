import { describe, expect, it } from 'vitest';
import type { ScriptContext } from '../../../../src/runner/shell/context.ts';
import { stageScript } from '../../../../src/runner/shell/stage-script.ts';
import { resolveVariables } from '../../../../src/runner/variables.ts';
import { responseOf, type VariableValue } from '../../../runner-emulator.ts';

const directories = { builds: '/b', cache: '/c/g/p', project: '/b/g/p' };

function contextOf(variables: Readonly<Record<string, VariableValue>>): ScriptContext {
  const response = responseOf({ variables: { GIT_STRATEGY: 'fetch', ...variables } });
  const runner = { version: '1', shortToken: '', concurrentId: 0, concurrentProjectId: 0 };
  return {
    ...{ shell: 'bash', response, directories, temporary: '/b/g/p.tmp', hostname: undefined },
    serverUrl: '',
    variables: resolveVariables({
      ...{ response, directories, status: 'running' },
      runner: { ...runner, environment: [] },
    }),
  };
}

describe('get_sources', () => {
  it('keeps the token in a file beside the repository, and nowhere in it', () => {
    const lines = stageScript('get_sources', contextOf({})).split('\n');
    expect(lines.filter((line) => line.includes('job-token-of-a-test'))).toEqual([
      "git config -f '/b/g/p.tmp/git.config' 'url.https://gitlab-ci-token:job-token-of-a-test@gitlab.example.com.insteadOf' 'https://gitlab.example.com'",
    ]);
    expect(lines).toContain(
      "git remote add origin 'https://gitlab.example.com/group/project.git' 2>/dev/null ||",
    );
  });

  it('uses the CA that GitLab gives', () => {
    const ca = { CI_SERVER_TLS_CA_FILE: { value: 'PEM', file: true } };
    const script = stageScript('get_sources', contextOf(ca));
    expect(script).toContain("'http.https://gitlab.example.com.sslCAInfo'");
    expect(script).toContain("printf %s 'PEM' >'/b/g/p.tmp/CI_SERVER_TLS_CA_FILE'");
  });
});

describe('every script', () => {
  it('leaves out names that no shell takes', () => {
    const script = stageScript('build_script', contextOf({ 'A-B': '1', C: '2' }));
    expect(script).toContain("export C='2'");
    expect(script).not.toContain('A-B');
  });

  it('of a stage that nobody knows has no commands of its own', () => {
    expect(stageScript('step_new', contextOf({}))).toContain("cd '/b/g/p'");
  });
});
