/** The commands of the Python tool of the same name, for its users' crontabs and fingers; in no help. */
import type { chrootCommands } from './chroot-cli.ts';

type Cli = Parameters<typeof chrootCommands>[0];

const image = { type: 'string' } as const;
const defaultImage = { 'default-image': image } as const;

/** @param end takes the exit status. */
export function predecessorCommands(
  cli: Cli,
  signal: AbortSignal,
  end: (status: number) => void,
): void {
  cli.command(
    'chroot-list',
    false,
    (command) => command,
    async (args) => {
      end(await (await import('./commands/predecessor.ts')).formerList(args));
    },
  );
  cli.command(
    'chroot-create [image]',
    false,
    (command) => command.positional('image', image).options(defaultImage).option('suite', image),
    async (args) => {
      end(await (await import('./commands/predecessor.ts')).formerCreate(args, signal));
    },
  );
  cli.command(
    'chroot-login [image]',
    false,
    (command) => command.positional('image', image).options(defaultImage),
    async (args) => {
      const { chrootOfImage } = await import('./commands/predecessor.ts');
      const { chrootLogin } = await import('./commands/chroot-login.ts');
      const { settings } = args;
      end(await chrootLogin({ name: chrootOfImage(args), settings }, signal));
    },
  );
  cli.command(
    'chroot-maintenance [image]',
    false,
    (command) => command.positional('image', image),
    async (args) => {
      end(await (await import('./commands/predecessor.ts')).formerMaintenance(args, signal));
    },
  );
}
