/**
 * GitLab's own word on a job: the job-token endpoint (docs.gitlab.com/api/jobs, "Get job token's
 * job") answers as long as the job runs. Asked only where the operator wants it.
 */
import type { MachineRecord } from '../machine/record.ts';
import { readOwnFile } from '../own-file.ts';
import type { JobEvidence } from './job-evidence.ts';

const TIMEOUT_MS = 5_000;
const MAX_BYTES = 16 * 1024 * 1024;
const UNAUTHORIZED = 401;

export type GitlabWord = JobEvidence['gitlab'];

/** `unknown` for whatever is no clear answer: a proxy, a network that is down, a token that is gone. */
export async function askGitlab(known: MachineRecord, signal: AbortSignal): Promise<GitlabWord> {
  const question = known.responseFile === undefined ? undefined : readQuestion(known.responseFile);
  if (question === undefined) return 'unknown';
  try {
    const response = await fetch(`${question.scheme}//${known.origin}/api/v4/job`, {
      headers: { 'JOB-TOKEN': question.token },
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    return wordOf(response.status, known.jobId, await response.json());
  } catch {
    return 'unknown';
  }
}

/** Pure. The token of a job that is over is not valid any more; GitLab says so in words of its own. */
export function wordOf(status: number, jobId: string, body: unknown): GitlabWord {
  const { id, message } = (typeof body === 'object' && body !== null ? body : {}) as Record<
    string,
    unknown
  >;
  // A proxy on the way may answer 401 as well.
  if (status === UNAUTHORIZED) return message === '401 Unauthorized' ? 'over' : 'unknown';
  return status === 200 && String(id) === jobId ? 'runs' : 'unknown';
}

interface Question {
  readonly scheme: 'http:' | 'https:';
  readonly token: string;
}

/** From GitLab Runner's file for the job, which the job cannot write. */
function readQuestion(path: string): Question | undefined {
  const text = readOwnFile(path, MAX_BYTES);
  try {
    return text === undefined ? undefined : questionIn(text);
  } catch {
    return undefined;
  }
}

/** @throws SyntaxError or TypeError for what is no job response. */
export function questionIn(text: string): Question | undefined {
  const { token, git_info: git } = JSON.parse(text) as {
    token?: unknown;
    git_info?: { repo_url?: unknown };
  };
  const { protocol } = new URL(String(git?.repo_url));
  const isUsable = typeof token === 'string' && token !== '' && /^https?:$/.test(protocol);
  return isUsable ? { scheme: protocol as Question['scheme'], token } : undefined;
}
