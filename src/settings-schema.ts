/**
 * The shape of settings.yaml. A schema's error is what it expects, as a noun: file-problems.ts makes
 * the sentence. `default` in the metadata is how an operator would write what settings.ts holds; a
 * unit test compares the two.
 */
import * as z from 'zod/mini';
import { AMOUNT, LimitsMap } from './limits-schema.ts';
import { duration, listOf, parsed, text, yesNo } from './schema-kinds.ts';

const CHROOT_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;
/** No "..", no "//", nothing that mount(8), a unit or a bind option would read as syntax. */
const SAFE_PATH = /^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)+\/?$/;
const METRICS_FILE = /^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)+\.prom$/;
const USER_NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,30}$/;
const GITLAB_RUNNER = new RegExp(`^(?:auto|none)$|${SAFE_PATH.source}`);
const MIRROR = /^(?:https?|file):\/\/[^\s"'\\]+$/;

const inMachine = 'an absolute path of letters, digits, ".", "_" and "-", such as /builds';

export const SettingsFile = z
  .strictObject(
    {
      state_dir: text(
        'an absolute path of letters, digits, ".", "_" and "-", such as /var/lib/nspawn-runner',
        SAFE_PATH,
        {
          description: 'Where chroots, job directories and caches live; one file system.',
          default: '/var/lib/nspawn-runner',
        },
      ),
      recipe_dirs: listOf('an absolute path', SAFE_PATH, {
        description: 'Directories that are searched for recipes; the first that has one wins.',
      }),
      default_image: text('the name of an image, such as debian-12', /^\S+$/, {
        description: 'Image for jobs that name none. Without it such jobs fail.',
      }),
      allowed_images: listOf('a glob such as debian-*', /^\S+$/, {
        description:
          'Images that jobs may name. "*" and "?" stop at a slash, "**" does not. Every image unless set.',
      }),
      images: z.optional(
        z
          .record(
            z.string(),
            z
              .string({ error: 'the name of a chroot' })
              .check(z.regex(CHROOT_NAME, { error: 'the name of a chroot' })),
            { error: 'a map of images to chroots' },
          )
          .check(
            z.meta({ description: 'Chroots for images that are named otherwise.', default: {} }),
          ),
      ),
      shell: z.optional(
        z.enum(['bash', 'sh'], { error: '"bash" or "sh"' }).check(
          z.meta({
            description: 'Shell that reads the scripts, in every chroot.',
            default: 'bash',
          }),
        ),
      ),
      user: text('the name of a user', USER_NAME, {
        description: 'User of the machine who runs the scripts.',
        default: 'root',
      }),
      builds_dir: text(inMachine, SAFE_PATH, {
        description: 'Where projects are checked out, in the machine.',
        default: '/builds',
      }),
      cache_dir: text(inMachine, SAFE_PATH, {
        description: "Where the project's cache directory of the host appears in the machine.",
        default: '/cache',
      }),
      keep_builds: yesNo({
        description: 'Keep builds on the host, per project and slot, for GIT_STRATEGY=fetch.',
        default: false,
      }),
      gitlab_runner: text('"auto", "none" or an absolute path', GITLAB_RUNNER, {
        description:
          "The host's gitlab-runner, which uploads artifacts and caches from the machine.",
        default: 'auto',
      }),
      limits: z.optional(LimitsMap),
      boot_timeout: duration(
        { example: '60s', longest: '1h', zero: false },
        {
          description: 'How long a machine may take to boot.',
          default: '60s',
        },
      ),
      stop_timeout: duration(
        { example: '3s', longest: '5min', zero: true },
        {
          description:
            'How long a machine may take to power off before it is killed; 0 kills at once.',
          default: '3s',
        },
      ),
      // GitLab Runner goes on to cleanup 5 minutes after an abort, whatever the run stage still does.
      script_stop_timeout: duration(
        { example: '10s', longest: '3min', zero: true },
        {
          description: 'How long a canceled script has from TERM to KILL.',
          default: '10s',
        },
      ),
      deadline_margin: duration(
        { example: '15min', longest: '7d', zero: true },
        {
          description: "How long after the job's own timeout systemd ends the machine.",
          default: '15min',
        },
      ),
      trust_job_id_variable: yesNo({
        description:
          'Take the job id from CI_JOB_ID, which a job can forge, for GitLab Runner before 14.1.',
        default: false,
      }),
      virtual_machines: listOf(
        '"virtualbox", "vagrant", "libvirt" or "qemu"',
        /^(?:virtualbox|vagrant|libvirt|qemu)$/,
        {
          description:
            'Kinds of virtual machines that a job may leave on this host. Every kind whose tool is installed unless set; an empty list for none of them.',
        },
      ),
      virtual_machine_users: listOf('the name of a user', USER_NAME, {
        description:
          "Users whose virtual machines may be a job's. root and $CI_RUNNER_USER, or gitlab-runner, unless set.",
      }),
      ask_gitlab: yesNo({
        description:
          'Let the reaper ask GitLab whether a job whose GitLab Runner lives still runs.',
        default: false,
      }),
      metrics_file: text(
        'an absolute path that ends in .prom, such as /var/lib/prometheus/node-exporter/nspawn-runner.prom',
        METRICS_FILE,
        {
          description:
            "Where the reaper writes its counters for node_exporter's textfile collector.",
        },
      ),
      apt_mirror: text('a URL such as http://deb.debian.org/debian', MIRROR, {
        description: 'Debian mirror for recipes that name none.',
      }),
      minimum_free_space: parsed(AMOUNT, {
        description:
          'Free space, a size or a percentage of the file system, below which no chroot is updated.',
        default: '10%',
      }),
    },
    { error: 'a map of settings' },
  )
  .check(z.meta({ title: 'Settings of nspawn-runner', description: 'All keys are optional.' }));

export type SettingsFile = z.output<typeof SettingsFile>;

const limitKeys = Object.keys(LimitsMap.shape);
const settingKeys = Object.keys(SettingsFile.shape);

/** Keys of the map at `path`; at the top also those one level down, for `did you mean`. */
export function settingsKeysAt(path: readonly (string | number)[]): readonly string[] {
  return path.length > 0 ? limitKeys : [...settingKeys, ...limitKeys.map((key) => `limits.${key}`)];
}
