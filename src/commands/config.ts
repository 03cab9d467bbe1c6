/** GitLab's config stage: prints the driver configuration; nothing else may go to stdout. */
import { hostname } from 'node:os';
import { basename } from 'node:path';
import { readImageSettings } from '../chroot/image-settings.ts';
import { findChroot, listChroots } from '../chroot/store.ts';
import type { StageArguments } from '../cli.ts';
import { UsageError } from '../errors.ts';
import { driverConfig } from '../gitlab/driver-config.ts';
import { clearExitCode } from '../gitlab/exit-code-file.ts';
import { chooseChroot } from '../gitlab/image.ts';
import { jobEnv } from '../gitlab/job-env.ts';
import { readJob } from '../gitlab/job.ts';
import { markTempDir } from '../machine/temp-dir-mark.ts';
import { loadSettings, type Settings } from '../settings.ts';

/**
 * Fails at once for an image that no prepare could boot.
 * @throws JobError for an unknown or refused image, which GitLab does not retry.
 */
export async function config(args: StageArguments): Promise<number> {
  // A JobError here is an exit 1, after which GitLab Runner reads the file.
  clearExitCode();
  const settings = await loadSettings(args.settings);
  const job = readJob({ ...args, trustJobIdVariable: settings.trustJobIdVariable });
  if (job === undefined) throw new UsageError('config: there is no job.');
  markTempDir(job, settings.stateDir);
  const defaultImage = args['default-image'] ?? settings.defaultImage;
  // The Python tool's users have --default-image in prepare_args alone: no image is prepare's to judge.
  const isKnown = job.image !== undefined || defaultImage !== undefined;
  const chrootShell = isKnown
    ? await shellOfImage(job.image, { ...settings, defaultImage })
    : undefined;
  process.stdout.write(
    driverConfig({
      hostname: hostname(),
      version: NSPAWN_RUNNER_VERSION,
      buildsDir: settings.buildsDir,
      cacheDir: settings.cacheDir,
      shell: scriptShell(args.shell, chrootShell ?? settings.shell),
      jobEnv: jobEnv(settings.stateDir),
    }),
  );
  return 0;
}

/**
 * What the chroot's recipe says; undefined where it leaves that to the settings.
 * @throws JobError for an unknown or refused image.
 */
async function shellOfImage(
  image: string | undefined,
  settings: Settings,
): Promise<Settings['shell'] | undefined> {
  const chroots = await listChroots(settings.stateDir);
  const { chroot: name } = chooseChroot({
    ...settings,
    image,
    chroots: chroots.map((chroot) => chroot.name),
  });
  return currentShell(settings.stateDir, name);
}

/** Read again where the version was replaced and removed meanwhile: its file was gone perhaps. */
async function currentShell(
  stateDir: string,
  name: string,
): Promise<Settings['shell'] | undefined> {
  for (let chroot = await findChroot(stateDir, name); chroot !== undefined;) {
    const { shell } = readImageSettings(chroot.path);
    const now = await findChroot(stateDir, name);
    if (now?.version === chroot.version) return shell;
    chroot = now;
  }
  return undefined;
}

/** GitLab Runner writes scripts for a dialect: `--shell` may be a path, the dialect is its name. */
function scriptShell(argument: string | undefined, setting: Settings['shell']): 'bash' | 'sh' {
  if (argument === undefined) return setting;
  const name = basename(argument);
  if (name === 'bash' || name === 'sh') return name;
  throw new UsageError(`--shell=${argument}: expected bash, sh, or the path of one of them.`);
}
