import { execa } from 'execa';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const bundle = join(import.meta.dirname, '../../dist/nspawn-runner.cjs');

/** Preloaded into the program: what it compiled goes to standard error as the last line. */
const preload = `
  import vm from 'node:vm';
  import { writeSync } from 'node:fs';
  let code = '';
  vm.Script = class extends vm.Script {
    constructor(text, options) {
      super(text, options);
      code += text;
    }
  };
  const packages = {
    yargs: /YError/,
    winston: /DerivedLogger/,
    zod: /ZodMini/,
    'js-yaml': /compiledImplicit/,
    execa: /ExecaError=class/,
  };
  process.on('exit', () => {
    const found = Object.keys(packages).filter((name) => packages[name].test(code));
    writeSync(2, '\\n' + JSON.stringify(found));
  });
`;
let dir = '';
let env: Record<string, string> = {};

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'nspawn-runner-start-'));
  const responseFile = join(dir, 'response.json');
  const response = {
    id: 1,
    job_info: { project_id: 7 },
    git_info: { repo_url: 'https://gitlab.example.com/group/project.git' },
    image: { name: 'no-such-image' },
  };
  await writeFile(responseFile, JSON.stringify(response), { mode: 0o600 });
  await writeFile(join(dir, 'settings.yaml'), 'shell: bash\n');
  env = {
    JOB_RESPONSE_FILE: responseFile,
    TMPDIR: dir,
    NSPAWN_RUNNER_STATE_DIR: join(dir, 'state'),
    BUILD_FAILURE_EXIT_CODE: '1',
    SYSTEM_FAILURE_EXIT_CODE: '2',
  };
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** Which of the big packages a call of the program compiles, whatever comes of the call. */
async function compiledPackages(args: readonly string[]): Promise<string[]> {
  const preloaded = `--import=data:text/javascript,${encodeURIComponent(preload)}`;
  const { stderr } = await execa(process.execPath, [preloaded, bundle, ...args], {
    env,
    extendEnv: false,
    cwd: dir,
    reject: false,
  });
  return JSON.parse(stderr.slice(stderr.lastIndexOf('\n') + 1)) as string[];
}

// What a stage does not call it does not pay for: a job is a dozen starts of the program.
describe('start-up', () => {
  it.each([
    { args: ['config'], packages: [] },
    { args: ['prepare'], packages: [] },
    { args: ['run', '/dev/null', 'build_script'], packages: ['execa'] },
    { args: ['cleanup'], packages: ['execa'] },
    { args: ['config', '--settings=settings.yaml'], packages: ['zod', 'js-yaml'] },
    { args: ['run', '--debug', '/dev/null', 'build_script'], packages: ['winston', 'execa'] },
    { args: ['--help'], packages: ['yargs'] },
  ])('$args compiles $packages', async ({ args, packages }) => {
    expect(await compiledPackages(args)).toEqual(packages);
  });
});
