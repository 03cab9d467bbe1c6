/** What git knows of the working tree, and the CI_* variables that follow from it. */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { askGit, repositoryTop } from '../../tools/git.ts';
import type { CiVariable } from './local-variables.ts';

export interface Repository {
  /** Top of the working tree, or the directory itself where there is no repository. */
  readonly top: string;
  readonly isGit: boolean;
  /** Empty without a commit. */
  readonly sha: string;
  /** Branch or tag; empty when neither is checked out. */
  readonly ref: string;
  readonly isTag: boolean;
  readonly defaultBranch: string;
  /** `group/project` of the remote "origin", else `local/DIRECTORY`. */
  readonly projectPath: string;
  /** Of the directory: the same for every job of it, and no one's id at GitLab but by chance. */
  readonly projectId: number;
  readonly commit: CommitFacts;
}

interface CommitFacts {
  readonly message: string;
  readonly author: string;
  readonly timestamp: string;
}

const MAX_SLUG_LENGTH = 63;
const NO_COMMIT = '0'.repeat(40);

export async function readRepository(directory: string): Promise<Repository> {
  const top = await repositoryTop(directory);
  const ask = async (...args: string[]): Promise<string | undefined> =>
    top === undefined ? undefined : askGit(top, args);
  const branch = await ask('symbolic-ref', '--quiet', '--short', 'HEAD');
  const tag =
    branch === undefined ? await ask('describe', '--tags', '--exact-match', 'HEAD') : undefined;
  const remoteHead = await ask('symbolic-ref', '--quiet', '--short', 'refs/remotes/origin/HEAD');
  const show = async (format: string): Promise<string> =>
    (await ask('log', '-1', `--format=${format}`)) ?? '';
  return {
    top: top ?? directory,
    isGit: top !== undefined,
    sha: (await ask('rev-parse', '--verify', '--quiet', 'HEAD')) ?? '',
    ref: branch ?? tag ?? '',
    isTag: tag !== undefined,
    defaultBranch: remoteHead?.replace(/^origin\//, '') ?? 'main',
    projectPath: projectPath(await ask('remote', 'get-url', 'origin'), top ?? directory),
    projectId: createHash('sha256')
      .update(top ?? directory)
      .digest()
      .readUInt32BE(0),
    commit: {
      message: await show('%B'),
      author: await show('%an <%ae>'),
      timestamp: await show('%cI'),
    },
  };
}

export interface JobFacts {
  readonly id: string;
  readonly name: string;
  readonly stage: string;
  readonly ciFile: string;
}

/** GitLab's predefined variables, as far as a working tree can tell them. */
export function predefinedVariables(repository: Repository, job: JobFacts): readonly CiVariable[] {
  const { sha, ref, isTag, projectPath: path, commit, defaultBranch } = repository;
  const [title = ''] = commit.message.split('\n');
  const values: Readonly<Record<string, string>> = {
    CI: 'true',
    GITLAB_CI: 'true',
    CI_JOB_ID: job.id,
    CI_JOB_NAME: job.name,
    CI_JOB_NAME_SLUG: slug(job.name),
    CI_JOB_STAGE: job.stage,
    CI_PIPELINE_ID: job.id,
    CI_PIPELINE_SOURCE: 'push',
    CI_CONFIG_PATH: job.ciFile,
    CI_PROJECT_ID: String(repository.projectId),
    CI_PROJECT_NAME: basename(path),
    CI_PROJECT_TITLE: basename(path),
    CI_PROJECT_PATH: path,
    CI_PROJECT_PATH_SLUG: slug(path),
    CI_PROJECT_NAMESPACE: path.slice(0, -basename(path).length - 1),
    CI_DEFAULT_BRANCH: defaultBranch,
    CI_COMMIT_SHA: sha,
    CI_COMMIT_SHORT_SHA: sha.slice(0, 8),
    CI_COMMIT_BEFORE_SHA: NO_COMMIT,
    CI_COMMIT_REF_NAME: ref,
    CI_COMMIT_REF_SLUG: slug(ref),
    CI_COMMIT_MESSAGE: commit.message,
    CI_COMMIT_TITLE: title,
    CI_COMMIT_AUTHOR: commit.author,
    CI_COMMIT_TIMESTAMP: commit.timestamp,
    ...(isTag ? { CI_COMMIT_TAG: ref } : { CI_COMMIT_BRANCH: ref }),
  };
  return Object.entries(values).map(([key, value]) => ({ key, value, raw: true }));
}

/** GitLab's slug: what fits a host name. */
export function slug(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '-')
    .slice(0, MAX_SLUG_LENGTH)
    .replace(/^-+|-+$/g, '');
}

/** Of `https://host/group/project.git`, `git@host:group/project` and the like. */
export function projectPath(remote: string | undefined, top: string): string {
  const [, path] = /^(?:\w+:\/\/[^/]+\/|[^/:]+:)(.+?)(?:\.git)?\/?$/.exec(remote ?? '') ?? [];
  if (
    path !== undefined &&
    /^[\w.-]+(?:\/[\w.-]+)+$/.test(path) &&
    !/(?:^|\/)\.\.?(?:\/|$)/.test(path)
  ) {
    return path;
  }
  const name = basename(top)
    .replace(/[^\w.-]/g, '-')
    .replace(/^\.+/, '');
  return `local/${name || 'project'}`;
}
