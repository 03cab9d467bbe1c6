/** GitLab's prepare stage: boots the job's machine. */
import { access } from 'node:fs/promises';
import { readImageSettings } from '../chroot/image-settings.ts';
import { findChroot, listChroots, type Chroot } from '../chroot/store.ts';
import type { StageArguments } from '../cli.ts';
import { HostError, JobError, UsageError } from '../errors.ts';
import { clearExitCode } from '../gitlab/exit-code-file.ts';
import { chooseChroot } from '../gitlab/image.ts';
import { readJob, type Job } from '../gitlab/job.ts';
import { say } from '../log.ts';
import { markedEnvironment } from '../marks.ts';
import { machineBase, type MachineBase } from '../machine/machine-base.ts';
import { machineName } from '../machine/names.ts';
import { prepareMachine } from '../machine/prepare-machine.ts';
import { findRunnerBinary } from '../machine/runner-binary.ts';
import { findVmPlaces } from '../machine/vm-places.ts';
import { requireRoot } from '../root.ts';
import { loadSettings, type Settings } from '../settings.ts';
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
  if (chroot === undefined) throw gone(name);
  const runnerBinary = await findRunnerBinary(settings.gitlabRunner);
  announce(job, chroot, runnerBinary !== undefined);
  const prepared = await prepareMachine(
    {
      ...settings,
      ...job,
      jobId: job.id,
      base: await baseOf(chroot, settings, args),
      currentBase: (base) => currentBase(base, settings, args),
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

function announce(job: Job, chroot: Chroot, hasRunner: boolean): void {
  const image = job.image === undefined ? 'The default image' : `Image "${job.image}"`;
  say(
    `nspawn-runner ${NSPAWN_RUNNER_VERSION}: ${image} is chroot ${chroot.name}, built ${builtOn(chroot)}.`,
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

/** What the chroot's recipe says of its machines goes before the settings, and the stage's own argument before both. */
async function baseOf(
  chroot: Chroot,
  settings: Settings,
  { shell }: StageArguments,
): Promise<MachineBase> {
  const base = machineBase(chroot, settings, readImageSettings(chroot.path));
  for (const { source } of base.binds) await requireSource(source, chroot.name);
  return shell === undefined ? base : { ...base, shell };
}

async function currentBase(
  base: MachineBase,
  settings: Settings,
  args: StageArguments,
): Promise<MachineBase> {
  const { name, version } = base.chroot;
  const now = await findChroot(settings.stateDir, name);
  if (now === undefined) throw gone(name);
  if (now.version === version) return base;
  say(`Chroot ${name} has a newer version by now, built ${builtOn(now)}.`);
  return baseOf(now, settings, args);
}

function gone(chroot: string): JobError {
  return new JobError(`Chroot "${chroot}" has gone.`);
}

/** systemd-nspawn would say no more than that a file is missing. */
async function requireSource(source: string, chroot: string): Promise<void> {
  const isThere = await access(source).then(
    () => true,
    () => false,
  );
  if (isThere) return;
  throw new HostError(`"${source}" is not on this host.`, {
    details: [`The recipe of chroot "${chroot}" binds it into machines.`],
    hint: `Make it on the host, or take it out of machine.binds in the recipe and run \`nspawn-runner chroot update ${chroot}\`.`,
  });
}

function builtOn({ createdAt }: Chroot): string {
  return createdAt.toISOString().slice(0, 10);
}

/** HOST:MACHINE, both absolute. */
export function parseBind(text: string): Bind {
  const [source, target, ...rest] = text.split(':');
  if (!source?.startsWith('/') || !target?.startsWith('/') || rest.length > 0) {
    throw new UsageError(`--bind-ro=${text}: expected HOST:MACHINE, two absolute paths.`);
  }
  return { source, target, readOnly: true };
}
