/** GitLab's prepare stage: boots the job's machine. */
import { listChroots } from '../chroot/store.ts';
import type { StageArguments } from '../cli.ts';
import { JobError, UsageError } from '../errors.ts';
import { clearExitCode } from '../gitlab/exit-code-file.ts';
import { chooseChroot } from '../gitlab/image.ts';
import { readJob, type Job } from '../gitlab/job.ts';
import { say } from '../log.ts';
import { markedEnvironment } from '../marks.ts';
import { machineName } from '../machine/names.ts';
import { prepareMachine } from '../machine/prepare-machine.ts';
import { findRunnerBinary } from '../machine/runner-binary.ts';
import { findVmPlaces } from '../machine/vm-places.ts';
import { requireRoot } from '../root.ts';
import { loadSettings } from '../settings.ts';
import { markChildren } from '../tools/exec.ts';
import type { Bind } from '../tools/systemd-nspawn.ts';

/** GitLab's own default for a job without a timeout. */
const DEFAULT_JOB_TIMEOUT_SEC = 7200;

export async function prepare(args: StageArguments, signal: AbortSignal): Promise<number> {
  requireRoot('prepare');
  clearExitCode();
  const settings = await loadSettings(args.settings);
  const job = readJob({ ...args, trustJobIdVariable: settings.trustJobIdVariable });
  if (job === undefined) throw new JobError('There is no job to prepare a machine for.');
  const machine = machineName(job);
  markChildren(markedEnvironment({ machine, tag: job.tag }));
  const chroots = await listChroots(settings.stateDir);
  const { chroot: name } = chooseChroot({
    image: args.positionals[0] ?? job.image,
    defaultImage: args['default-image'] ?? settings.defaultImage,
    allowedImages: settings.allowedImages,
    images: settings.images,
    chroots: chroots.map((chroot) => chroot.name),
  });
  const chroot = chroots.find((candidate) => candidate.name === name);
  if (chroot === undefined) throw new JobError(`Chroot "${name}" has gone.`);
  const runnerBinary = await findRunnerBinary(settings.gitlabRunner);
  announce(job, name, chroot.createdAt, runnerBinary !== undefined);
  const prepared = await prepareMachine(
    {
      ...settings,
      ...job,
      jobId: job.id,
      chroot,
      shell: args.shell ?? settings.shell,
      runnerBinary,
      virtualMachines: await findVmPlaces(settings),
      extraBinds: (args['bind-ro'] ?? []).map(parseBind),
      runtimeMaxSec: (job.timeoutSec ?? DEFAULT_JOB_TIMEOUT_SEC) + settings.deadlineMarginSec,
    },
    signal,
  );
  if (!prepared.buildsKept) {
    say('Another job has the kept builds of this slot: this job starts from an empty directory.');
  }
  say(`Machine ${prepared.machine} is ready after ${prepared.bootSec.toFixed(2)} s.`);
  return 0;
}

function announce(job: Job, chroot: string, createdAt: Date, hasRunner: boolean): void {
  const image = job.image === undefined ? 'The default image' : `Image "${job.image}"`;
  say(
    `nspawn-runner ${NSPAWN_RUNNER_VERSION}: ${image} is chroot ${chroot}, built ${createdAt.toISOString().slice(0, 10)}.`,
  );
  if (job.services.length > 0) {
    say(
      `No service is started: \`services:\` has no effect yet (${job.services.join(', ')}). Install and start in the script what the job needs.`,
    );
  }
  if (!hasRunner && job.wantsRunnerBinary) {
    say(
      'This host has no gitlab-runner to lend to the machine: artifacts and caches are skipped, see `nspawn-runner check`.',
    );
  }
}

/** HOST:MACHINE, both absolute. */
export function parseBind(text: string): Bind {
  const [source, target, ...rest] = text.split(':');
  if (!source?.startsWith('/') || !target?.startsWith('/') || rest.length > 0) {
    throw new UsageError(`--bind-ro=${text}: expected HOST:MACHINE, two absolute paths.`);
  }
  return { source, target, readOnly: true };
}
