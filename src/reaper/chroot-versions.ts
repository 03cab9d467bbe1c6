/** Versions of chroots that were replaced while jobs used them, and whose jobs have ended since. */
import { oldVersions, pruneVersions } from '../chroot/prune.ts';
import { listChroots } from '../chroot/store.ts';
import { HostError } from '../errors.ts';
import { versionsInUse } from '../machine/versions-in-use.ts';
import { keep, remove, type Case, type Verdict } from './finding.ts';

export async function chrootVersionCases(stateDir: string): Promise<readonly Case[]> {
  const cases: Case[] = [];
  const inUse = () => versionsInUse(stateDir);
  for (const { name } of await listChroots(stateDir)) {
    for (const { version, fate } of await oldVersions(stateDir, name, inUse)) {
      // The operator wants these: they are no finding.
      if (fate === 'kept') continue;
      cases.push({
        machine: undefined,
        things: [{ kind: 'chroot-version', name: `${name}/${version}` }],
        verdict: verdictOn(fate),
        remove: () => removeOld(stateDir, name),
      });
    }
  }
  return cases;
}

function verdictOn(fate: 'remove' | 'in-use'): Verdict {
  return fate === 'remove'
    ? remove('it was replaced', 'it is not the current version', 'no record of a job names it')
    : keep('a job uses it', 'the record of a job names it, or cannot be read');
}

/** All of the chroot's that are to go; the next case finds its own gone. */
async function removeOld(stateDir: string, name: string): Promise<string | undefined> {
  try {
    await pruneVersions(stateDir, name, () => versionsInUse(stateDir));
    return undefined;
  } catch (error) {
    if (error instanceof HostError) return 'somebody builds the chroot';
    throw error;
  }
}
