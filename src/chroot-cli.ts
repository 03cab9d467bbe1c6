/** The part of the command line that keeps chroots. */
import type { Argv } from 'yargs';

const names = { type: 'string', array: true } as const;
const name = { type: 'string', demandOption: true } as const;
const json = { type: 'boolean', describe: 'print JSON' } as const;
const jobs = { type: 'number', describe: 'how many at a time [half of the processors]' } as const;

/** @param end takes the exit status. */
export function chrootCommands(
  cli: Argv<{ settings: string | undefined }>,
  signal: AbortSignal,
  end: (status: number) => void,
): void {
  cli.command('chroot', 'base trees that machines boot from', (chroot) => {
    makingCommands(chroot, signal, end);
    showingCommands(chroot, signal, end);
    changingCommands(chroot, signal, end);
    return chroot.demandCommand(1, 'Say what to do with chroots; `chroot --help` lists it.');
  });
}

type Chroot = Argv<{ settings: string | undefined }>;

function makingCommands(chroot: Chroot, signal: AbortSignal, end: (status: number) => void): void {
  chroot.command(
    'create [names..]',
    'build chroots from their recipes, missing parents first',
    (command) =>
      command
        .positional('names', names)
        .option('all', {
          type: 'boolean',
          describe: 'all recipes but those that come with the program',
        })
        .option('if-missing', { type: 'boolean', describe: 'leave alone what is there' })
        .options({ jobs, json }),
    async (args) => {
      const { chrootCreate } = await import('./commands/chroot-make.ts');
      end(await chrootCreate({ ...args, names: args.names ?? [] }, signal));
    },
  );
  chroot.command(
    'update [names..]',
    'bring chroots up to date with recipe and upstream; the timer calls it',
    (command) =>
      command
        .positional('names', names)
        .option('all', { type: 'boolean', describe: 'all chroots that have a recipe' })
        .option('rebuild', { type: 'boolean', describe: 'build again, whatever has changed' })
        .option('refresh', { type: 'boolean', describe: 'upgrade packages in a copy' })
        .options({ jobs, json }),
    async (args) => {
      const { chrootUpdate } = await import('./commands/chroot-make.ts');
      end(await chrootUpdate({ ...args, names: args.names ?? [] }, signal));
    },
  );
}

function showingCommands(chroot: Chroot, signal: AbortSignal, end: (status: number) => void): void {
  chroot.command(
    'list',
    'list the chroots that jobs can use',
    (command) => command.options({ json }),
    async (args) => {
      end(await (await import('./commands/chroot-show.ts')).chrootList(args));
    },
  );
  chroot.command(
    'show <name>',
    'say what a chroot was made of, its versions and who uses them',
    (command) => command.positional('name', name).options({ json }),
    async (args) => {
      end(await (await import('./commands/chroot-show.ts')).chrootShow(args));
    },
  );
  chroot.command(
    'verify [names..]',
    'boot a machine from what is there and check it',
    (command) =>
      command
        .positional('names', names)
        .option('all', { type: 'boolean', describe: 'all chroots' })
        .options({ json }),
    async (args) => {
      const { chrootVerify } = await import('./commands/chroot-verify.ts');
      end(await chrootVerify({ ...args, names: args.names ?? [] }, signal));
    },
  );
}

function changingCommands(
  chroot: Chroot,
  signal: AbortSignal,
  end: (status: number) => void,
): void {
  chroot.command(
    'login <name> [command..]',
    'a shell in a copy, which then becomes the current version',
    (command) =>
      command
        // "0x10" is a word, also after "--".
        .parserConfiguration({ 'parse-positional-numbers': false })
        .positional('name', name)
        .positional('command', { ...names, describe: 'instead of a shell, after --' })
        .option('discard', { type: 'boolean', describe: 'throw away what is changed' }),
    async ({ command: words = [], ...args }) => {
      const { chrootLogin } = await import('./commands/chroot-login.ts');
      // Two words name this command; the rest are those after "--".
      const command = [...words, ...args._.slice(2).map(String)];
      end(await chrootLogin({ ...args, ...(command.length === 0 ? {} : { command }) }, signal));
    },
  );
  chroot.command(
    'remove <names..>',
    'remove chroots with all their versions, unless a job uses them',
    (command) =>
      command
        .positional('names', { ...names, demandOption: true })
        .option('old', { type: 'string', describe: 'only this old version of one chroot' }),
    async (args) => {
      end(await (await import('./commands/chroot-remove.ts')).chrootRemove(args));
    },
  );
  chroot.command(
    'export <name> [file]',
    'write the current version into one file, for another host',
    (command) =>
      command
        .positional('name', name)
        .positional('file', { type: 'string', describe: 'NAME-VERSION.tar.zst unless given' })
        .option('force', { type: 'boolean', describe: 'replace the file' }),
    async (args) => {
      end(await (await import('./commands/chroot-transfer.ts')).chrootExport(args, signal));
    },
  );
  chroot.command(
    'import <source>',
    'take over an exported file, or a tree that is a directory',
    (command) =>
      command
        .positional('source', { type: 'string', demandOption: true })
        .option('name', { type: 'string', describe: 'how the chroot is called here' })
        .option('sha256', { type: 'string', describe: 'what the file must be' }),
    async (args) => {
      end(await (await import('./commands/chroot-transfer.ts')).chrootImport(args, signal));
    },
  );
}
