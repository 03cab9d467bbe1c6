import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const bundle = fileURLToPath(new URL('../../dist/nspawn-runner.cjs', import.meta.url));
let dir = '';

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'nspawn-runner-check-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** Runs check on whatever host this is, with settings of its own. */
async function check(settings: string, ...args: string[]) {
  const file = join(dir, 'settings.yaml');
  await writeFile(file, settings);
  return execa(process.execPath, [bundle, 'check', `--settings=${file}`, ...args], {
    reject: false,
  });
}

interface Finding {
  readonly level: string;
  readonly object: string;
  readonly finding: string;
  readonly todo?: string;
}

describe('check', () => {
  it('names what keeps jobs from running, and fails', async () => {
    const { stdout, exitCode } = await check(`state_dir: ${dir}/state\n`, '--json');
    const findings = JSON.parse(stdout) as Finding[];
    expect(findings).toContainEqual({
      level: 'fail',
      object: 'chroots',
      finding: 'none',
      todo: '`nspawn-runner chroot create debian-12` makes one.',
    });
    expect(findings.find(({ object }) => object === 'state directory')).toMatchObject({
      level: 'warn',
      finding: `${dir}/state is not there yet`,
    });
    expect(exitCode).toBe(1);
  });

  it('says what to do with every finding that is not ok', async () => {
    const { stdout } = await check('', '--json');
    const bad = (JSON.parse(stdout) as Finding[]).filter(({ level }) => level !== 'ok');
    expect(bad.filter(({ todo }) => todo === undefined)).toEqual([]);
  });

  it('goes on with the rest when the settings are wrong', async () => {
    const { stdout, exitCode } = await check('shel: bash\n');
    expect(stdout).toMatch(/^fail +settings .*line 1, shel: .*did you mean "shell"\?/m);
    expect(stdout).toMatch(/^\w+ +config\.toml /m);
    expect(stdout).toMatch(/This host cannot run jobs yet: .*\.\n?$/);
    expect(exitCode).toBe(1);
  });
});
