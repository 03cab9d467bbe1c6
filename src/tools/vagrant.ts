/** vagrant(1), run as the user whose environments it is about. It runs their Vagrantfile, which is a program. */
import { findProgram } from './find-program.ts';
import { runAsUser } from './run-as-user.ts';
import { VBOX_DAEMONS } from './vboxmanage.ts';

export interface VagrantUser {
  readonly user: string;
  readonly timeoutSec: number;
  readonly signal: AbortSignal | undefined;
}

async function vagrant(session: VagrantUser, args: readonly string[]): Promise<void> {
  const program = (await findProgram('vagrant')) ?? 'vagrant';
  await runAsUser({
    ...session,
    argv: [program, ...args],
    daemons: VBOX_DAEMONS,
    // It would ask its maker for news.
    env: { VAGRANT_CHECKPOINT_DISABLE: '1', VAGRANT_NO_COLOR: '1' },
  });
}

/** @param id from the machine index. */
export async function destroyEnvironment(session: VagrantUser, id: string): Promise<void> {
  await vagrant(session, ['destroy', '--force', id]);
}

/** Drops entries from the user's index whose environment is not there any more. */
export async function pruneIndex(session: VagrantUser): Promise<void> {
  await vagrant(session, ['global-status', '--prune']);
}
