/** Builds of chroots whose builder was killed. */
import { isBuildLocked, sweepBuilds, unfinishedBuilds } from '../chroot/build-lock.ts';
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
  return cases;
}
