import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { parse } from 'smol-toml';
import { describe, expect, it } from 'vitest';

const bundle = fileURLToPath(new URL('../../dist/nspawn-runner.cjs', import.meta.url));

const toml = (...args: string[]) =>
  execa(process.execPath, [bundle, 'toml', ...args], { reject: false });

interface Section {
  readonly name?: string;
  readonly token?: string;
  readonly executor: string;
  readonly custom: Readonly<Record<string, string | number | string[]>>;
}

function section(text: string): Section {
  const { runners } = parse(text) as unknown as { runners: Section[] };
  const [only] = runners;
  if (only === undefined || runners.length !== 1) throw new Error('expected one [[runners]]');
  return only;
}

describe('toml', () => {
  it('calls this checkout through node, with a command line that this program takes', async () => {
    const { stdout, stderr, exitCode } = await toml('--name=host 1', '--url=https://gitlab.test/');
    expect({ stderr, exitCode }).toEqual({ stderr: '', exitCode: 0 });
    const { name, executor, custom } = section(stdout);
    expect({ name, executor }).toEqual({ name: 'host 1', executor: 'custom' });
    for (const stage of ['config', 'prepare', 'run', 'cleanup']) {
      expect(custom[`${stage}_exec`]).toBe(process.execPath);
      expect(custom[`${stage}_args`]).toEqual([bundle, stage, '--runner=host 1']);
    }
  });

  it('prints a template without credentials', async () => {
    const { stdout } = await toml('--template-config');
    expect(Object.keys(section(stdout))).toEqual(['executor', 'custom']);
  });

  it('refuses an option that it does not have', async () => {
    const { exitCode, stdout, stderr } = await toml('--token=glrt-secret');
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain('Unknown argument: token');
  });
});
