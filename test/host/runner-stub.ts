/**
 * A gitlab-runner for machines: the four commands of it that scripts call, done with tar, and a list
 * of how it was called. What it uploads and archives is in /cache, which outlives the job.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const STUB = `#!/bin/bash
set -e
[ "$1" = --version ] && { echo 'Version: stub'; exit 0; }
echo "$*" >>/cache/calls
verb=$1 && shift
paths=() file= id= token=
while [ $# -gt 0 ]; do
  case $1 in
    --path) paths+=("$2") ;;
    --file) file=$2 ;;
    --id) id=$2 ;;
    --token) token=$2 ;;
  esac
  case $1 in --untracked) shift ;; *) shift 2 ;; esac
done
case $verb in
  cache-archiver) mkdir -p "$(dirname "$file")"; tar -cf "$file" "\${paths[@]}" ;;
  cache-extractor) [ -e "$file" ] && tar -xf "$file" ;;
  artifacts-uploader) mkdir -p /cache/artifacts; tar -cf "/cache/artifacts/$id-$token" "\${paths[@]}" ;;
  artifacts-downloader) tar -xf "/cache/artifacts/$id-$token" ;;
esac
`;

export interface RunnerStub {
  /** settings.yaml that lends it to machines. */
  readonly settings: string;
  readonly remove: () => Promise<void>;
}

export async function makeRunnerStub(): Promise<RunnerStub> {
  const directory = await mkdtemp(join(tmpdir(), 'runner-stub-'));
  const path = join(directory, 'stub');
  await writeFile(path, STUB, { mode: 0o755 });
  return {
    settings: `gitlab_runner: ${path}\n`,
    remove: () => rm(directory, { recursive: true }),
  };
}

/** How the stub was called so far by jobs with this cache directory of the host, a line a call. */
export async function readCalls(cache: string): Promise<readonly string[]> {
  const text = await readFile(join(cache, 'calls'), 'utf8');
  return text.trimEnd().split('\n');
}
