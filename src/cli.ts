/**
 * The command line. Stages are parsed by Node itself, because yargs costs a quarter of a node
 * start and a job makes a dozen; whatever that parser does not take, and all else, goes to yargs.
 */
import { parseArgs } from 'node:util';
import { UsageError } from './errors.ts';
import { isStage } from './gitlab/exit-status.ts';
import { enableDebug } from './log.ts';

/** Options of the four stages; the names of the Python tool of the same name keep working. */
const stageOptions = {
  runner: { type: 'string' },
  settings: { type: 'string' },
  'default-image': { type: 'string' },
  id: { type: 'string' },
  shell: { type: 'string' },
  'bind-ro': { type: 'string', multiple: true },
  verbose: { type: 'boolean', short: 'v' },
  'ram-disk': { type: 'boolean' },
  debug: { type: 'boolean' },
} as const;

/** Of the Python tool: it says nothing more here, and what jobs write is on the disk. */
const ignored = {
  verbose: { type: 'boolean', alias: 'v', hidden: true },
  'ram-disk': { type: 'boolean', hidden: true },
} as const;

const stageHelp = {
  runner: { type: 'string', describe: "the runner's name, for people" },
  'default-image': { type: 'string', describe: 'image for jobs that name none' },
  id: { type: 'string', describe: 'job id, where GitLab Runner is too old to give a trusted one' },
  shell: { type: 'string', describe: 'shell that reads the script' },
  'bind-ro': { type: 'string', array: true, describe: 'HOST:MACHINE, bound read-only' },
} as const;

const tomlOptions = {
  name: { type: 'string', describe: "the runner's name [the name of this host]" },
  url: { type: 'string', describe: 'the GitLab instance' },
  'template-config': { type: 'boolean', describe: 'for `gitlab-runner register` instead' },
} as const;

/** Options of `exec`. */
const execOptions = {
  file: { type: 'string', describe: 'pipeline file', defaultDescription: '.gitlab-ci.yml' },
  // Not an array to yargs, which would take the job's name for one more variable.
  variable: {
    type: 'string',
    describe: 'NAME=VALUE, over those of the file; can be repeated',
    coerce: (given: string | string[]) => [given].flat(),
  },
  keep: { type: 'boolean', describe: 'leave the machine running' },
} as const;

export interface StageArguments {
  readonly positionals: readonly string[];
  /** The runner's name for people; it decides nothing. */
  readonly runner?: string | undefined;
  readonly settings?: string | undefined;
  readonly 'default-image'?: string | undefined;
  readonly id?: string | undefined;
  readonly shell?: string | undefined;
  readonly 'bind-ro'?: readonly string[] | undefined;
  readonly verbose?: boolean | undefined;
  readonly debug?: boolean | undefined;
}

type StageHandler = (args: StageArguments, signal: AbortSignal) => Promise<number>;

interface Stage {
  readonly operands: string;
  /** False hides an old name from the help. */
  readonly describe: string | false;
  readonly load: () => Promise<StageHandler>;
}

const loadConfig = async (): Promise<StageHandler> => (await import('./commands/config.ts')).config;

const stages: Readonly<Record<string, Stage>> = {
  config: {
    operands: '',
    describe: 'GitLab stage: print the driver configuration',
    load: loadConfig,
  },
  'gitlab-config': { operands: '', describe: false, load: loadConfig },
  prepare: {
    operands: '[image]',
    describe: "GitLab stage: boot the job's machine",
    load: async () => (await import('./commands/prepare.ts')).prepare,
  },
  run: {
    operands: '<script> [stage]',
    describe: 'GitLab stage: run one script in the machine',
    load: async () => (await import('./commands/run.ts')).runStage,
  },
  cleanup: {
    operands: '',
    describe: "GitLab stage: destroy the job's machine",
    load: async () => (await import('./commands/cleanup.ts')).cleanup,
  },
};

/**
 * Runs the command that the arguments name and returns the exit status.
 * @throws UsageError for arguments that no command takes, and what the command throws.
 */
export async function runCli(argv: readonly string[], signal: AbortSignal): Promise<number> {
  const stage = parseStage(argv);
  if (stage !== undefined) {
    if (stage.args.debug === true) await enableDebug();
    return (await stage.stage.load())(stage.args, signal);
  }
  return runYargs(argv, signal);
}

/** Whether the arguments call a stage, also where they are not good: GitLab Runner reads the status. */
export function callsStage(argv: readonly string[]): boolean {
  return parseStage(argv) !== undefined || isStage(argv.find((word) => !word.startsWith('-')));
}

function parseStage(argv: readonly string[]): { stage: Stage; args: StageArguments } | undefined {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      options: stageOptions,
      allowPositionals: true,
    });
    const [verb, ...rest] = positionals;
    const stage = verb === undefined ? undefined : stages[verb];
    return stage === undefined ? undefined : { stage, args: { ...values, positionals: rest } };
  } catch {
    return undefined;
  }
}

async function runYargs(argv: readonly string[], signal: AbortSignal): Promise<number> {
  const { default: yargs } = await import('yargs');
  let status = 0;
  const cli = yargs([...argv])
    .scriptName('nspawn-runner')
    .version(NSPAWN_RUNNER_VERSION)
    .usage('$0 COMMAND\n\nA fresh systemd-nspawn machine for every GitLab CI job.')
    .option('settings', { type: 'string', describe: 'settings file', global: true })
    .option('debug', { type: 'boolean', describe: 'one line per external command', global: true })
    .options(ignored)
    .middleware((args) => (args.debug === true ? enableDebug() : undefined))
    .completion('completion', false)
    .strict()
    .recommendCommands()
    .demandCommand(1, 'Say what to do; `nspawn-runner --help` lists the commands.')
    .fail((message, error: unknown) => {
      throw error instanceof Error ? error : new UsageError(message);
    });

  for (const [name, { operands, describe, load }] of Object.entries(stages)) {
    cli.command({
      command: `${name} ${operands}`.trim(),
      describe,
      builder: (command) => command.options(stageHelp),
      handler: async (args) => {
        const positionals = [args['script'], args['stage'], args['image']].filter(
          (word): word is string => typeof word === 'string',
        );
        status = await (await load())({ ...args, positionals }, signal);
      },
    });
  }

  cli.command(
    'toml',
    "print the section for GitLab Runner's config.toml",
    (command) => command.options(tomlOptions),
    async (args) => {
      status = await (await import('./commands/toml.ts')).toml(args);
    },
  );
  cli.command(
    'check',
    'say whether this host can run jobs, and what is missing',
    (command) => command.option('json', { type: 'boolean', describe: 'print JSON' }),
    async (args) => {
      status = await (await import('./commands/check.ts')).check(args);
    },
  );
  cli.command(
    'reap',
    'remove what jobs left whose owners are dead; the timer calls it',
    (command) =>
      command
        .option('dry-run', { type: 'boolean', describe: 'say what would go, and change nothing' })
        .option('json', { type: 'boolean', describe: 'print JSON' })
        // To yargs `--dry-run=yes` is false, and a flag that is given twice is neither.
        .coerce(['dry-run', 'json'], (given: boolean | boolean[]) => [given].flat().includes(true))
        .check(() => {
          requireBareFlags(argv);
          return true;
        }),
    async (args) => {
      status = await (await import('./commands/reap.ts')).reap(args, signal);
    },
  );
  cli.command(
    'exec <job>',
    'run one job of a .gitlab-ci.yml here, without GitLab',
    (command) =>
      command
        .positional('job', { type: 'string', demandOption: true, describe: 'name of the job' })
        .options(execOptions),
    async (args) => {
      status = await (await import('./commands/exec.ts')).exec(args, signal);
    },
  );
  const end = (ended: number): void => {
    status = ended;
  };
  (await import('./chroot-cli.ts')).chrootCommands(cli, signal, end);
  (await import('./predecessor-cli.ts')).predecessorCommands(cli, signal, end);

  await cli.parseAsync();
  return status;
}

/** @throws UsageError for a flag of `reap` that is given a value. */
function requireBareFlags(argv: readonly string[]): void {
  for (const word of argv) {
    const [, flag] = /^--(dry-run|json)=/.exec(word) ?? [];
    if (flag !== undefined) throw new UsageError(`${word}: --${flag} takes no value.`);
  }
}
