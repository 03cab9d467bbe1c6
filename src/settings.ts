/** The operator's settings: where they are read from, and what holds where they say nothing. */
import { HostError } from './errors.ts';

export interface Limits {
  /** Bytes; at most one of this and `memoryMaxPercent` is set. */
  readonly memoryMaxBytes?: number | undefined;
  /** Percent of the host's memory. */
  readonly memoryMaxPercent?: number | undefined;
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
  /** From TERM to KILL of a cancelled script. */
  readonly scriptStopTimeoutSec: number;
  /** How long after the job's own timeout PID 1 ends the machine. */
  readonly deadlineMarginSec: number;
  readonly trustJobIdVariable: boolean;
  /** Debian mirror for recipes that name none. */
  readonly aptMirror: string | undefined;
}

/**
 * Reads `path`, else the file that `$NSPAWN_RUNNER_SETTINGS` names, else the default file. Only
 * the default file may be absent.
 * @throws SettingsError with every problem of the file.
 */
export function loadSettings(path?: string): Promise<Settings> {
  return Promise.reject(new HostError(`Settings "${path ?? ''}" cannot be read yet.`));
}
