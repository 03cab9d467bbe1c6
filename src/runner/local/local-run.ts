/** One job of a working tree, through the stages of this very program. */
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { startJob, type JobResult, type RunningJob } from '../engine.ts';
import type { OutputMark, OutputSink, StageCall } from '../events.ts';
import { encodeResponse, type JobResponse } from '../job.ts';
import type { Driver } from '../job-run.ts';
import type { ScriptContext } from '../shell/context.ts';
import type { ReplaceCommands } from '../shell/stage-script.ts';
import { gitStrategy } from '../shell/sources.ts';
import { copyArtifacts } from './artifact-copy.ts';
import { artifactPaths, packArtifacts, unmatched, type ArtifactPaths } from './artifact-paths.ts';
import type { Repository } from './repository.ts';
import { archiveSource, SOURCE_IN_MACHINE, unpackSource } from './source-archive.ts';
import { writeTo } from './terminal.ts';

export interface LocalRunOptions {
  /** Program and first arguments. */
  readonly program: readonly string[];
  /** Behind each verb, such as `--settings=…`. */
  readonly arguments: readonly string[];
  readonly hostEnv: Readonly<Record<string, string>>;
  readonly response: JobResponse;
  readonly repository: Repository;
  /** The machine outlives the job. */
  readonly keep: boolean;
  readonly output: OutputSink;
  readonly say: (text: string) => void;
  readonly warn: (text: string) => void;
  /** Called once the job runs, for whoever may have to stop it. */
  readonly onStarted: (job: RunningJob) => void;
  /** Called as each call of the driver begins. */
  readonly onStage?: (call: StageCall) => void;
  readonly signal: AbortSignal;
}

/** /tmp is often memory, and a repository may be large. */
const SCRATCH_PREFIX = '/var/tmp/nspawn-runner-exec-';
const GRACEFUL_KILL_SEC = 60;

export async function runLocalJob(options: LocalRunOptions): Promise<JobResult> {
  const scratch = await mkdtemp(SCRATCH_PREFIX);
  try {
    const { notes } = await archiveSource(options.repository, scratch, options.signal);
    for (const note of notes) options.warn(note);
    const collector = collectArtifacts(scratch, options.output);
    const job = startJob({
      driver: driverOf(options, join(scratch, 'source.tar')),
      response: options.response,
      // The driver need not miss gitlab-runner for artifacts that this program copies by itself.
      responseText: encodeResponse({ ...options.response, artifacts: [] }),
      hostEnv: options.hostEnv,
      timing: { gracefulKillSec: GRACEFUL_KILL_SEC },
      tmpRoot: scratch,
      replaceCommands: collector.replaceCommands,
      onOutput: collector.onOutput,
      onEvent: (event) => {
        if (event.type === 'stage-start') options.onStage?.(event.call);
      },
    });
    options.onStarted(job);
    const result = await job.result;
    await takeArtifacts(options, collector, scratch);
    return result;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function driverOf(options: LocalRunOptions, source: string): Driver {
  const line = (verb: string, ...more: readonly string[]): readonly string[] => [
    ...options.program,
    verb,
    ...options.arguments,
    ...more,
  ];
  return {
    config: line('config'),
    prepare: line('prepare', `--bind-ro=${source}:${SOURCE_IN_MACHINE}`),
    run: line('run'),
    ...(options.keep ? {} : { cleanup: line('cleanup') }),
  };
}

interface Collector {
  readonly replaceCommands: ReplaceCommands;
  readonly onOutput: OutputSink;
  /** Undefined for a job that came to no artifacts. */
  readonly finish: () => Promise<{ archive: string; paths: ArtifactPaths } | undefined>;
}

/** The upload stage's script writes the artifacts to its stdout, which goes to a file here. */
function collectArtifacts(scratch: string, output: OutputSink): Collector {
  const archive = join(scratch, 'artifacts.tar');
  const file = createWriteStream(archive, { mode: 0o600 });
  let paths: ArtifactPaths | undefined;
  const isArtifacts = ({ call, stream }: OutputMark): boolean =>
    stream === 'stdout' && call?.script?.startsWith('upload_artifacts') === true;
  const pack = (context: ScriptContext): readonly string[] => {
    const [artifacts = {}] = context.response.artifacts ?? [];
    paths = artifactPaths(artifacts, context);
    return packArtifacts(paths, context);
  };
  return {
    replaceCommands: (stage, context) => {
      if (stage.startsWith('upload_artifacts')) return pack(context);
      const isCopied = stage === 'get_sources' && ['clone', 'fetch'].includes(gitStrategy(context));
      return isCopied ? unpackSource(context) : undefined;
    },
    onOutput: (chunk, mark) => (isArtifacts(mark) ? writeTo(file, chunk) : output(chunk, mark)),
    finish: async () => {
      file.end();
      await finished(file);
      return paths === undefined ? undefined : { archive, paths };
    },
  };
}

async function takeArtifacts(
  { repository, say, warn }: LocalRunOptions,
  collector: Collector,
  scratch: string,
): Promise<void> {
  const collected = await collector.finish();
  if (collected === undefined || (await stat(collected.archive)).size === 0) return;
  const { names, skipped } = await copyArtifacts(collected.archive, scratch, repository.top);
  const { paths, outside } = collected.paths;
  for (const path of outside) warn(`artifacts: ${path} is outside of the project.`);
  for (const path of unmatched(paths, names)) warn(`artifacts: ${path} matches no file.`);
  for (const line of skipped) warn(`artifacts: left out ${line}.`);
  say(`Copied ${names.length} ${names.length === 1 ? 'file' : 'files'} to ${repository.top}.`);
}
