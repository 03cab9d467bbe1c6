/** Builds of chroots whose builder was killed, and looks at what upstream offers. */
import { isBuildLocked, sweepBuilds, unfinishedBuilds } from '../chroot/build-lock.ts';
import { abandonedLooks } from '../chroot/look-directory.ts';
import { removeTree } from '../tools/rm.ts';
import { keep, remove, type Case } from './finding.ts';

export async function chrootBuildCases(stateDir: string): Promise<readonly Case[]> {
  const cases: Case[] = [];
  for (const { chroot, names } of await unfinishedBuilds(stateDir)) {
    const isAtWork = await isBuildLocked(stateDir, chroot);
    cases.push({
      machine: undefined,
      things: names.map((name) => ({ kind: 'chroot-build', name: `${chroot}/${name}` })),
      verdict: isAtWork
        ? keep('it is being built', `${chroot}/build.lock is held`)
        : remove('its builder is gone', `nobody holds ${chroot}/build.lock`),
      remove: async () => {
        await sweepBuilds(stateDir, chroot);
        return undefined;
      },
    });
  }
  for (const path of await abandonedLooks()) {
    cases.push({
      machine: undefined,
      things: [{ kind: 'chroot-build', name: path }],
      verdict: remove('who looked is gone', 'its name has the process, which does not live'),
      remove: async () => {
        await removeTree(path);
        return undefined;
      },
    });
  }
  return cases;
}
