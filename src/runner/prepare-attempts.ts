/** config and prepare: up to three attempts, each that fails with a cleanup of its own. */
import { isRefused, type FailedVerdict, type Verdict } from './verdict.ts';
import { jobDirectories, parseDriverConfig, type DriverConfig } from './driver-config.ts';
import { runStage, say, wait, type JobRun } from './job-run.ts';
import { makeTempDir, removeTempDir } from './temp-dir.ts';
import { SHELLS } from './shell/frame.ts';
import { isStopped, timeLimit } from './control.ts';

/**
 * Undefined when the job's machine is ready; else why not, and then it is cleaned up already.
 * @param stop aborts with the job and with the limit on all of the preparation.
 */
export async function prepareJob(
  run: JobRun,
  stop: AbortSignal,
): Promise<FailedVerdict | undefined> {
  const { prepareAttempts, prepareRetrySec } = run.setup.timing;
  for (let attempt = 1; ; attempt += 1) {
    run.attempt = attempt;
    run.config = {};
    const verdict = await prepareOnce(run, stop);
    if (verdict.kind === 'success') return undefined;
    await cleanUp(run);
    const isFinal = verdict.kind === 'build-failure' || verdict.kind === 'configuration-error';
    if (isFinal || isStopped(stop)) return verdict;
    say(run, `Preparation failed: ${verdict.message}`);
    say(run, `Will be retried in ${prepareRetrySec}s ...`);
    await wait(run, prepareRetrySec);
    if (attempt >= prepareAttempts || isStopped(stop)) return verdict;
  }
}

/** The cleanup stage, which no cancel interrupts; then the job's directory goes. */
export async function cleanUp(run: JobRun): Promise<void> {
  const limit = timeLimit(run.setup.timing.cleanupTimeoutSec, 'timeout');
  const verdict = await runStage(run, { stage: 'cleanup', stop: limit.signal });
  limit.release();
  if (verdict.kind !== 'success') say(run, `Cleanup script failed: ${verdict.message}`);
  if (run.tempDir === undefined) return;
  await removeTempDir(run.tempDir);
  run.emit({ type: 'temp-dir-removed', path: run.tempDir });
  run.tempDir = undefined;
}

async function prepareOnce(run: JobRun, stop: AbortSignal): Promise<Verdict> {
  try {
    run.tempDir = await makeTempDir(run.setup.tmpRoot, run.setup.responseText);
  } catch (error) {
    return { kind: 'system-failure', message: (error as Error).message };
  }
  run.emit({ type: 'temp-dir', path: run.tempDir });
  const config = await readConfig(run, stop);
  if (isRefused(config)) return config;
  const { buildsDir, cacheDir, response, runner, timing } = run.setup;
  const { shortToken, concurrentProjectId } = runner;
  const directories = jobDirectories({
    ...{ config, buildsDir, cacheDir, response, shortToken, concurrentProjectId },
  });
  if (isRefused(directories)) return directories;
  run.config = config;
  run.directories = directories;
  const shell = config.shell ?? run.setup.shell;
  if (!SHELLS.includes(shell)) {
    return { kind: 'system-failure', message: `shell ${shell} not found` };
  }
  say(run, `Using Custom executor${driverName(config)}...`);
  return withLimit(timing.prepareTimeoutSec, stop, (limited) =>
    runStage(run, { stage: 'prepare', stop: limited }),
  );
}

async function readConfig(run: JobRun, stop: AbortSignal): Promise<DriverConfig | FailedVerdict> {
  const chunks: Buffer[] = [];
  const verdict = await withLimit(run.setup.timing.configTimeoutSec, stop, (limited) =>
    runStage(run, {
      stage: 'config',
      stop: limited,
      onStdout: (chunk) => void chunks.push(chunk),
    }),
  );
  if (verdict.kind !== 'success') return verdict;
  return parseDriverConfig(Buffer.concat(chunks).toString());
}

async function withLimit(
  sec: number,
  stop: AbortSignal,
  call: (stop: AbortSignal) => Promise<Verdict>,
): Promise<Verdict> {
  const limit = timeLimit(sec, 'timeout');
  try {
    return await call(AbortSignal.any([stop, limit.signal]));
  } finally {
    limit.release();
  }
}

function driverName({ driver }: DriverConfig): string {
  if (driver?.name === undefined || driver.name === '') return '';
  const version = driver.version === undefined ? '' : ` ${driver.version}`;
  return ` with driver ${driver.name}${version}`;
}
