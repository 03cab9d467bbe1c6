// The jobs of scripts/bench, and a stage of ours as GitLab Runner calls it.
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const STATE_DIR = '/var/lib/nspawn-runner';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const program = join(root, 'dist/nspawn-runner.cjs');

/** What the run stages of a job do, by GitLab's names; with config, prepare and cleanup they are eight. */
export const SCRIPTS = {
  prepare_script: 'echo "Running on $(hostname)"',
  get_sources: `set -e
    mkdir -p /builds/project && cd /builds/project && git init --quiet
    for n in 1 2 3 4 5 6 7 8; do seq 1000 >"file$n"; done
    git add . && git -c user.name=ci -c user.email=ci@localhost commit --quiet -m sources`,
  step_script:
    'set -e; cd /builds/project; git log --oneline; sort --numeric-sort file* | sha256sum',
  after_script: 'cd /builds/project && git status --short',
  cleanup_file_variables: 'rm -rf /builds/project.tmp',
};

let lastId = Date.now() * 100;

export const freshId = () => String((lastId += 1));

/** Wall time of a command in milliseconds; anything but the expected end is a failure of the benchmark. */
export function time(command, args, { env = process.env, input, endsBy = 'exit' } = {}) {
  const stdin = input === undefined ? 'ignore' : openSync(input, 'r');
  const from = performance.now();
  const result = spawnSync(command, args, {
    env,
    stdio: [stdin, 'pipe', 'pipe'],
    encoding: 'utf8',
  });
  const ms = performance.now() - from;
  if (stdin !== 'ignore') closeSync(stdin);
  if (endsBy === 'kill' ? result.signal !== 'SIGKILL' : result.status !== 0) {
    throw new Error(
      `${[command, ...args].join(' ')}: ${result.error ?? `${result.status ?? result.signal}`}\n${result.stderr}`,
    );
  }
  return { ms, stdout: result.stdout };
}

/** A job's directory with what GitLab Runner puts there, and its environment; `settings` is a file. */
export function makeJob(work, chroot, settings) {
  const id = freshId();
  const directory = join(work, id);
  mkdirSync(directory);
  const response = {
    id: Number(id),
    token: 'job-token',
    job_info: { name: 'bench', stage: 'test', project_id: 7, project_name: 'project' },
    git_info: { repo_url: 'https://gitlab-ci-token:x@bench.example.com/group/project.git' },
    runner_info: { timeout: 3600 },
    image: { name: chroot.name },
  };
  writeFileSync(join(directory, 'response.json'), JSON.stringify(response), { mode: 0o600 });
  for (const [name, text] of Object.entries({ ...SCRIPTS, true: 'true' })) {
    writeFileSync(join(directory, name), `${text}\n`);
  }
  const env = {
    PATH: process.env.PATH,
    HOME: '/root',
    TMPDIR: directory,
    BUILD_FAILURE_EXIT_CODE: '1',
    SYSTEM_FAILURE_EXIT_CODE: '2',
    BUILD_EXIT_CODE_FILE: join(directory, 'build_exit_code'),
    JOB_RESPONSE_FILE: join(directory, 'response.json'),
    CUSTOM_ENV_CI_JOB_ID: id,
    CUSTOM_ENV_CI_JOB_IMAGE: chroot.name,
    ...(chroot.copy === undefined ? {} : { BENCH_TREE: chroot.copy }),
    ...(settings === undefined ? {} : { NSPAWN_RUNNER_SETTINGS: settings }),
  };
  const job = { id, directory, env, script: (name) => join(directory, name) };
  const { job_env: handedOn } = JSON.parse(ours(job, 'config').stdout);
  return { ...job, env: { ...env, ...handedOn } };
}

export function ours(job, stage, args = [], options = {}) {
  return time(process.execPath, [program, stage, ...args], { env: job.env, ...options });
}

/** The job's machine, by its directory: the id ends its name; undefined before prepare. */
export function machineOf({ id }) {
  return readdirSync(join(STATE_DIR, 'jobs')).find((name) => name.endsWith(`-${id}`));
}
