/**
 * A [[runners]] section for GitLab Runner's config.toml that calls this program. The keys are those
 * of docs/configuration/advanced-configuration.md, "The [runners.custom] section".
 */
export interface RunnerSection {
  /** The runner's name in GitLab and in `--runner=`. */
  readonly name: string;
  readonly url: string;
  /** The program that GitLab Runner starts, and the arguments that come before the stage. */
  readonly program: readonly [string, ...string[]];
  /** Put into the stages' arguments; absolute. */
  readonly settingsFile?: string | undefined;
  readonly timeouts: RunnerTimeouts;
}

/** All in seconds. */
export interface RunnerTimeouts {
  readonly config: number;
  readonly prepare: number;
  readonly cleanup: number;
  readonly gracefulKill: number;
  readonly forceKill: number;
  readonly shutdown: number;
}

type Stage = 'config' | 'prepare' | 'run' | 'cleanup';

const CONFIG_SEC = 60;
/** Looking for leftovers of the same name, making the overlay, binds; all but the boot. */
const PREPARE_BESIDE_BOOT_SEC = 240;
const CLEANUP_BESIDE_STOP_SEC = 300;
const GRACE_BESIDE_SCRIPT_SEC = 50;
/** The Runner starts cleanup 5 min after an abort, whether or not the stage has ended by then. */
const GRACE_MAX_SEC = 230;
const FORCE_KILL_SEC = 10;

/**
 * Time limits that hold with these settings. The Runner's own defaults do not: 10 min of grace
 * let cleanup begin beside a stage that still runs.
 */
export function runnerTimeouts(settings: {
  readonly bootTimeoutSec: number;
  readonly stopTimeoutSec: number;
  readonly scriptStopTimeoutSec: number;
}): RunnerTimeouts {
  const cleanup = Math.ceil(settings.stopTimeoutSec) + CLEANUP_BESIDE_STOP_SEC;
  const wanted = Math.ceil(settings.scriptStopTimeoutSec) + GRACE_BESIDE_SCRIPT_SEC;
  const gracefulKill = Math.min(wanted, GRACE_MAX_SEC);
  return {
    config: CONFIG_SEC,
    prepare: Math.ceil(settings.bootTimeoutSec) + PREPARE_BESIDE_BOOT_SEC,
    cleanup,
    gracefulKill,
    forceKill: FORCE_KILL_SEC,
    shutdown: gracefulKill + FORCE_KILL_SEC + cleanup,
  };
}

/** Text to paste into config.toml. */
export function runnerSection(section: RunnerSection): string {
  return lines(
    '# For /etc/gitlab-runner/config.toml, printed by `nspawn-runner toml`.',
    '#',
    '# Two keys are global: they stand at the top of that file, above every [[runners]].',
    '#   concurrent = 4',
    '#     How many jobs may run here at once; without it, one.',
    `#   shutdown_timeout = ${section.timeouts.shutdown}`,
    '#     Seconds that a Runner which was told to abort its jobs waits for their cleanup; its default,',
    '#     30, is too short to be sure.',
    '',
    '[[runners]]',
    `  name = ${quote(section.name)}`,
    `  url = ${quote(section.url)}`,
    '  # The token that GitLab shows when you create the runner there (glrt-...).',
    '  token = "REPLACE-ME"',
    ...executor(section),
  );
}

/** Text for `gitlab-runner register --template-config=FILE`: one [[runners]], no credentials. */
export function templateConfig(section: RunnerSection): string {
  return lines(
    '# Printed by `nspawn-runner toml --template-config`. To register a runner with it:',
    '#',
    '#   gitlab-runner register --non-interactive --template-config=THIS-FILE \\',
    `#     --executor=custom --name=${shellQuote(section.name)} \\`,
    `#     --url=${shellQuote(section.url)} --token=TOKEN`,
    '#',
    '# --executor is needed there too: register does not take it from a template. Set `concurrent`',
    `# and \`shutdown_timeout = ${section.timeouts.shutdown}\` in config.toml, a template cannot hold global keys.`,
    '',
    '[[runners]]',
    ...executor(section),
  );
}

function executor({ name, program, settingsFile, timeouts }: RunnerSection): string[] {
  const [executable, ...first] = program;
  const last = settingsFile === undefined ? [] : [`--settings=${settingsFile}`];
  const call = (stage: Stage): string[] => [
    `    ${stage}_exec = ${quote(executable)}`,
    `    ${stage}_args = [${[...first, stage, `--runner=${name}`, ...last].map(quote).join(', ')}]`,
  ];
  return [
    '  executor = "custom"',
    '  # No builds_dir, cache_dir and shell: the config stage gives those of the settings.',
    '  [runners.custom]',
    ...call('config'),
    `    config_exec_timeout = ${timeouts.config}`,
    '    # The Runner tries a prepare that fails three times.',
    ...call('prepare'),
    `    prepare_exec_timeout = ${timeouts.prepare}`,
    ...call('run'),
    '    # GitLab learns how the job ended only after cleanup.',
    ...call('cleanup'),
    `    cleanup_exec_timeout = ${timeouts.cleanup}`,
    "    # Seconds from TERM to KILL of a stage. More than the settings' script_stop_timeout, and well",
    '    # below 5 min: that long after a timeout the Runner starts cleanup, ended or not.',
    `    graceful_kill_timeout = ${timeouts.gracefulKill}`,
    '    # Seconds after KILL until the Runner gives a stage up.',
    `    force_kill_timeout = ${timeouts.forceKill}`,
  ];
}

function lines(...text: readonly string[]): string {
  return `${text.join('\n')}\n`;
}

/** A TOML basic string (toml.io, "String"); JSON's escapes are among those of TOML. */
function quote(text: string): string {
  return JSON.stringify(text).replaceAll('\u007f', '\\u007f');
}

/** A word for a POSIX shell, in a comment. */
function shellQuote(word: string): string {
  const printable = word.replaceAll(/[\u0000-\u001f\u007f]/g, '?');
  return /^[\w@%+=:,./-]+$/.test(printable) ? printable : `'${printable.replaceAll("'", "'\\''")}'`;
}
