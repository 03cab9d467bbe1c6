/**
 * git(1), only ever to look at a repository. A repository can name programs for git to run, so git's
 * own check of the owner stays in force: SUDO_UID lets the person behind sudo pass it.
 */
import { rm, mkdtemp, readFile, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommandError, HostError } from '../errors.ts';
import { run, start, toolEnvironment } from './exec.ts';

const NOT_A_REPOSITORY = 128;
/** No commit, branch, tag or remote of that name; the number depends on the command. */
const NO_ANSWER = [1, 2, NOT_A_REPOSITORY];

/** The top directory of the repository that holds `directory`; undefined outside of one. */
export async function repositoryTop(directory: string): Promise<string | undefined> {
  const argv = gitArgv(directory, ['rev-parse', '--show-toplevel']);
  const { status, stdout, stderr, durationMs } = await run('git', argv, {
    okStatuses: [0, NOT_A_REPOSITORY],
    env: sudoEnvironment(),
  });
  if (status === 0) return stdout;
  if (stderr.includes('not a git repository')) return undefined;
  throw new CommandError(
    `git does not read the repository in "${directory}".`,
    {
      ...{ argv: ['git', ...argv], exitStatus: status, signal: undefined, durationMs },
      ...{ timedOutAfterSec: undefined, stderrTail: stderr },
    },
    { hint: 'Call this with sudo as the owner of the repository, or do what git says above.' },
  );
}

/** One line of git's; undefined when git knows no answer, as for a branch without a commit. */
export async function askGit(
  directory: string,
  args: readonly string[],
): Promise<string | undefined> {
  const { status, stdout } = await run('git', gitArgv(directory, args), {
    okStatuses: [0, ...NO_ANSWER],
    env: sudoEnvironment(),
  });
  return status === 0 && stdout !== '' ? stdout : undefined;
}

/** Paths of tracked files and of others that are not ignored, as bytes: names need not be UTF-8. */
export async function listWorkingTree(directory: string): Promise<readonly Buffer[]> {
  const flags = ['--cached', '--others', '--exclude-standard', '-z'];
  const scratch = await mkdtemp(join(tmpdir(), 'nspawn-runner-list-'));
  try {
    const file = await open(join(scratch, 'list'), 'wx', 0o600);
    const child = await start('git', gitArgv(directory, ['ls-files', ...flags]), {
      ...{ stdin: 'ignore', stdout: file.fd, stderr: 'inherit' },
      env: toolEnvironment(sudoEnvironment()),
      exactEnv: true,
    });
    const { status } = await child.ended;
    await file.close();
    if (status !== 0) throw new HostError(`git could not list the files of "${directory}".`);
    return splitAtNul(await readFile(join(scratch, 'list')));
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function gitArgv(directory: string, args: readonly string[]): readonly string[] {
  return ['-C', directory, '--no-optional-locks', '-c', 'core.fsmonitor=false', ...args];
}

/** git(1), SUDO_UID: as root, git also trusts what belongs to the person who called sudo. */
function sudoEnvironment(): Record<string, string> {
  const uid = process.env['SUDO_UID'];
  return uid === undefined ? {} : { SUDO_UID: uid };
}

/** Each path once: a file in conflict is listed once a side. */
function splitAtNul(bytes: Buffer): readonly Buffer[] {
  const paths = new Map<string, Buffer>();
  let from = 0;
  for (let at = bytes.indexOf(0); at !== -1; at = bytes.indexOf(0, from)) {
    const path = bytes.subarray(from, at);
    paths.set(path.toString('latin1'), path);
    from = at + 1;
  }
  return [...paths.values()];
}
