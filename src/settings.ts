/** The operator's settings: where they are read from, and what holds where they say nothing. */
import { readFile } from 'node:fs/promises';
import { SettingsError } from './errors.ts';
import { OPERATOR_RECIPE_DIR, SETTINGS_FILE, STATE_DIR, shippedRecipeDir } from './paths.ts';
import type { Amount, LimitsMap } from './limits-schema.ts';
import type { SettingsFile } from './settings-schema.ts';

export interface Limits {
  /** Bytes; at most one of this and `memoryMaxPercent` is set. */
  readonly memoryMaxBytes?: number | undefined;
  /** Percent of the host's memory. */
  readonly memoryMaxPercent?: number | undefined;
  /** Bytes; at most one of this and `memoryHighPercent` is set. */
  readonly memoryHighBytes?: number | undefined;
  readonly memoryHighPercent?: number | undefined;
  /** 1 to 10000, systemd.resource-control(5). */
  readonly cpuWeight?: number | undefined;
  /** 100 is one CPU. */
  readonly cpuQuotaPercent?: number | undefined;
  readonly tasksMax: number;
}

export interface Settings {
  /** Absolute, of `[A-Za-z0-9._/-]` only: it is written into mount options and units. */
  readonly stateDir: string;
  /** Searched in this order. */
  readonly recipeDirs: readonly string[];
  readonly defaultImage: string | undefined;
  /** Globs on the image as the job names it; undefined allows every image. */
  readonly allowedImages: readonly string[] | undefined;
  /** Image as the job names it → name of a chroot. */
  readonly images: Readonly<Record<string, string>>;
  readonly shell: 'bash' | 'sh';
  /** Who runs the scripts in the machine. */
  readonly user: string;
  /** In the machine. */
  readonly buildsDir: string;
  /** In the machine. */
  readonly cacheDir: string;
  /** Builds stay on the host, per project and slot. */
  readonly keepBuilds: boolean;
  /** `auto`, `none`, or the absolute path of the host's binary. */
  readonly gitlabRunner: string;
  readonly limits: Limits;
  readonly bootTimeoutSec: number;
  /** 0 kills at once. */
  readonly stopTimeoutSec: number;
  /** From TERM to KILL of a canceled script. */
  readonly scriptStopTimeoutSec: number;
  /** How long after the job's own timeout PID 1 ends the machine. */
  readonly deadlineMarginSec: number;
  readonly trustJobIdVariable: boolean;
  /** Kinds that jobs may leave on the host; undefined for all whose tools are installed. */
  readonly virtualMachineKinds: readonly string[] | undefined;
  /** Whose they may be. */
  readonly virtualMachineUsers: readonly string[] | undefined;
  /** The reaper asks GitLab about jobs whose Runner lives. */
  readonly askGitlab: boolean;
  /** For node_exporter's textfile collector. */
  readonly metricsFile: string | undefined;
  /** Debian mirror for recipes that name none. */
  readonly aptMirror: string | undefined;
  /** With less than this on the state directory's file system no chroot is updated. */
  readonly minimumFreeSpace: Amount;
}

type Environment = Readonly<Record<string, string | undefined>>;

const HINT = 'Correct it; docs/settings.md has every key and its default.';

/** What holds where the file says nothing. */
export function defaultSettings(): Settings {
  return {
    stateDir: STATE_DIR,
    recipeDirs: [OPERATOR_RECIPE_DIR, shippedRecipeDir()],
    defaultImage: undefined,
    allowedImages: undefined,
    images: {},
    shell: 'bash',
    user: 'root',
    buildsDir: '/builds',
    cacheDir: '/cache',
    keepBuilds: false,
    gitlabRunner: 'auto',
    limits: { tasksMax: 16_384 },
    bootTimeoutSec: 60,
    stopTimeoutSec: 3,
    scriptStopTimeoutSec: 10,
    deadlineMarginSec: 900,
    trustJobIdVariable: false,
    virtualMachineKinds: undefined,
    virtualMachineUsers: undefined,
    askGitlab: false,
    metricsFile: undefined,
    aptMirror: undefined,
    minimumFreeSpace: { percent: 10 },
  };
}

/**
 * Reads `path`, else the file that `$NSPAWN_RUNNER_SETTINGS` names, else the default file. Only
 * the default file may be absent.
 * @throws SettingsError with every problem of the file.
 */
export async function loadSettings(
  path?: string,
  env: Environment = process.env,
): Promise<Settings> {
  const variable = env['NSPAWN_RUNNER_SETTINGS'];
  const named = path ?? (variable === '' ? undefined : variable);
  const text = await readSettings(named ?? SETTINGS_FILE, named !== undefined);
  return text === undefined ? defaultSettings() : parseSettings(text, named ?? SETTINGS_FILE);
}

async function readSettings(file: string, mustExist: boolean): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (!mustExist && (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new SettingsError(`Settings file "${file}" cannot be read.`, {
      details: [(error as Error).message],
      hint: mustExist
        ? 'Correct --settings or NSPAWN_RUNNER_SETTINGS; without both, the default file is read.'
        : 'Let root read it, or remove it: every setting has a default.',
      cause: error,
    });
  }
}

/**
 * The settings that the text of a file makes.
 * @throws SettingsError with every problem of the file.
 */
export async function parseSettings(text: string, file: string): Promise<Settings> {
  // Loaded here: a host without settings, or with the installed file of comments alone, pays for neither.
  if (!/^\s*[^\s#]/m.test(text)) return defaultSettings();
  const { parseYaml } = await import('./yaml.ts');
  const { SettingsFile, settingsKeysAt } = await import('./settings-schema.ts');
  const document = parseYaml(text, file);
  const parsed = SettingsFile.safeParse(document.value ?? {});
  if (!parsed.success) {
    const { schemaProblems, fileProblems } = await import('./file-problems.ts');
    const problems = schemaProblems(document.value, parsed.error.issues, settingsKeysAt);
    throw fileProblems(document, problems, HINT);
  }
  const settings = withDefaults(parsed.data);
  const { buildsDir, cacheDir } = settings;
  if (isBelow(buildsDir, cacheDir) || isBelow(cacheDir, buildsDir)) {
    const { fileProblems } = await import('./file-problems.ts');
    const [key, got, other] =
      parsed.data.cache_dir === undefined
        ? ['builds_dir', buildsDir, `cache_dir "${cacheDir}"`]
        : ['cache_dir', cacheDir, `builds_dir "${buildsDir}"`];
    const text = `expected a directory apart from ${other}, got "${got}"`;
    throw fileProblems(document, [{ path: [key], text }], HINT);
  }
  return settings;
}

function withDefaults(file: SettingsFile): Settings {
  const defaults = defaultSettings();
  return {
    stateDir: withoutSlash(file.state_dir ?? defaults.stateDir),
    recipeDirs: file.recipe_dirs?.map(withoutSlash) ?? defaults.recipeDirs,
    defaultImage: file.default_image ?? defaults.defaultImage,
    allowedImages: file.allowed_images ?? defaults.allowedImages,
    images: file.images ?? defaults.images,
    shell: file.shell ?? defaults.shell,
    user: file.user ?? defaults.user,
    buildsDir: withoutSlash(file.builds_dir ?? defaults.buildsDir),
    cacheDir: withoutSlash(file.cache_dir ?? defaults.cacheDir),
    keepBuilds: file.keep_builds ?? defaults.keepBuilds,
    gitlabRunner: file.gitlab_runner ?? defaults.gitlabRunner,
    limits: { ...defaults.limits, ...limitsOf(file.limits) },
    bootTimeoutSec: file.boot_timeout ?? defaults.bootTimeoutSec,
    stopTimeoutSec: file.stop_timeout ?? defaults.stopTimeoutSec,
    scriptStopTimeoutSec: file.script_stop_timeout ?? defaults.scriptStopTimeoutSec,
    deadlineMarginSec: file.deadline_margin ?? defaults.deadlineMarginSec,
    trustJobIdVariable: file.trust_job_id_variable ?? defaults.trustJobIdVariable,
    virtualMachineKinds: file.virtual_machines ?? defaults.virtualMachineKinds,
    virtualMachineUsers: file.virtual_machine_users ?? defaults.virtualMachineUsers,
    askGitlab: file.ask_gitlab ?? defaults.askGitlab,
    metricsFile: file.metrics_file ?? defaults.metricsFile,
    aptMirror: file.apt_mirror ?? defaults.aptMirror,
    minimumFreeSpace: file.minimum_free_space ?? defaults.minimumFreeSpace,
  };
}

/** Limits by the names that the inside uses, units written out; undefined for what the map leaves out. */
export function limitsOf(map: LimitsMap | undefined): Partial<Limits> {
  return {
    memoryMaxBytes: map?.memory_max?.bytes,
    memoryMaxPercent: map?.memory_max?.percent,
    memoryHighBytes: map?.memory_high?.bytes,
    memoryHighPercent: map?.memory_high?.percent,
    cpuWeight: map?.cpu_weight,
    cpuQuotaPercent: map?.cpu_quota,
    ...(map?.tasks_max === undefined ? {} : { tasksMax: map.tasks_max }),
  };
}

function withoutSlash(path: string): string {
  return path.replace(/\/$/, '');
}

function isBelow(path: string, directory: string): boolean {
  return `${path}/`.startsWith(`${directory}/`);
}
