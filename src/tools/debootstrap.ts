/** debootstrap(8): makes a Debian or Ubuntu tree from one suite of one mirror. */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { runConfined, type ConfinedRun } from './confined.ts';

const SCRIPTS = '/usr/share/debootstrap/scripts';
/** What debootstrap runs for a suite that is younger than itself: these do not change any more. */
const SCRIPT_FOR_ALL = { debian: 'sid', ubuntu: 'gutsy' } as const;

export interface OldBootstrap {
  readonly suite: string;
  /** An empty or missing directory. */
  readonly target: string;
  readonly mirror: string;
  readonly components: readonly string[];
  readonly keyring: string;
  /** Of /usr/share/debootstrap/scripts; undefined takes the suite's own. */
  readonly script: string | undefined;
}

export function debootstrapArguments(what: OldBootstrap): string[] {
  const { suite, target, mirror, components, keyring, script } = what;
  return [
    '--variant=minbase',
    `--components=${components.join(',')}`,
    `--keyring=${keyring}`,
    // Without it a missing gpgv is a warning and the packages are anybody's.
    '--force-check-gpg',
    suite,
    target,
    mirror,
    ...(script === undefined ? [] : [script]),
  ];
}

/**
 * Makes the tree: the base system alone.
 * @throws CommandError with the last lines of its output, Stopped when `how.signal` ended it.
 */
export async function debootstrap(
  what: Omit<OldBootstrap, 'script'>,
  distribution: 'debian' | 'ubuntu',
  how: ConfinedRun,
): Promise<void> {
  const isKnown = await access(join(SCRIPTS, what.suite)).then(
    () => true,
    () => false,
  );
  const script = isKnown ? undefined : SCRIPT_FOR_ALL[distribution];
  await runConfined('debootstrap', debootstrapArguments({ ...what, script }), {
    ...how,
    env: { ...how.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
}
