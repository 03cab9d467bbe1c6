/** `nspawn-runner chroot login`: a shell in a copy, which becomes the current version. */
import { treeCommand } from '../chroot/build-command.ts';
import { readImageSettings } from '../chroot/image-settings.ts';
import { withoutServices } from '../chroot/no-services.ts';
import { say } from '../log.ts';
import { requireRoot } from '../root.ts';
import { loadSettings } from '../settings.ts';
import { logIn } from '../tools/systemd-nspawn-command.ts';
import { changeByHand } from '../upkeep/new-version.ts';
import { requireChroot } from '../upkeep/require-chroot.ts';
import { inWorkshop } from '../upkeep/workshop.ts';

export interface ChrootLoginArguments {
  readonly name: string;
  readonly settings?: string | undefined;
  /** Whatever is changed is thrown away. */
  readonly discard?: boolean | undefined;
  /** Instead of a shell. */
  readonly command?: readonly string[] | undefined;
}

export async function chrootLogin(
  args: ChrootLoginArguments,
  signal: AbortSignal,
): Promise<number> {
  const settings = await loadSettings(args.settings);
  requireRoot('chroot login');
  const chroot = await requireChroot(args.name, settings);
  let status = 0;
  const made = await inWorkshop(settings, signal, (workshop) =>
    changeByHand(chroot, workshop, async (site) => {
      workshop.board.end();
      say(`You are root in a copy of ${chroot.name}, version ${chroot.version}.`);
      say(
        args.discard === true
          ? 'What you change is thrown away.'
          : 'It becomes the current version when the shell ends with 0; `exit 1` throws it away.',
      );
      const machine = readImageSettings(chroot.path);
      const command = treeCommand(site, { environment: {}, machine });
      const argv = args.command ?? ['/bin/bash', '--login'];
      status = await withoutServices(site.tree, () => logIn({ ...command, argv }, site.how));
      return status === 0 && args.discard !== true;
    }),
  );
  say(
    made === undefined
      ? `${chroot.name}: version ${chroot.version} stays, the copy is thrown away`
      : `${chroot.name}: version ${made.version} is current; the next rebuild from its recipe replaces it`,
  );
  return status;
}
