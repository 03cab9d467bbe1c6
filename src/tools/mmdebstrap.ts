/** mmdebstrap(1): makes a Debian tree from nothing. */
import { runConfined, type ConfinedRun } from './confined.ts';

export interface Bootstrap {
  readonly suite: string;
  /** An empty or missing directory. */
  readonly target: string;
  /** deb822, sources.list(5); it becomes part of the tree's own sources. */
  readonly sourcesFile: string;
  readonly packages: readonly string[];
  /** apt.conf(5); they stay in the tree. */
  readonly aptOptions: readonly string[];
}

export function bootstrapArguments(bootstrap: Bootstrap): string[] {
  return [
    // Maintainer scripts see a chroot with everything mounted, in a mount namespace of its own.
    '--mode=root',
    '--variant=minbase',
    '--format=directory',
    // Lines of apt and dpkg instead of progress bars.
    '--verbose',
    // A build that a power cut ends is begun again, and one that succeeds is synced as a whole.
    '--dpkgopt=force-unsafe-io',
    ...(bootstrap.packages.length === 0 ? [] : [`--include=${bootstrap.packages.join(',')}`]),
    ...bootstrap.aptOptions.map((option) => `--aptopt=${option}`),
    '--',
    bootstrap.suite,
    bootstrap.target,
    bootstrap.sourcesFile,
  ];
}

/**
 * Makes the tree. --mode=root mounts /proc, /sys and more into it.
 * @param tempDir private; what mmdebstrap leaves there when it is killed goes with it.
 * @throws CommandError with the last lines of its output, Stopped when `signal` ended it.
 */
export async function bootstrap(what: Bootstrap, tempDir: string, how: ConfinedRun): Promise<void> {
  await runConfined('mmdebstrap', bootstrapArguments(what), {
    ...how,
    env: { TMPDIR: tempDir, DEBIAN_FRONTEND: 'noninteractive' },
  });
}
