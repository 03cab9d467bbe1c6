/** Versions of chroots that were replaced while jobs used them, and whose jobs have ended since. */
import { listVersions, oldVersions, pruneVersions } from '../chroot/prune.ts';
import { listChroots, type Chroot } from '../chroot/store.ts';
import { HostError } from '../errors.ts';
import { versionsInUse } from '../machine/versions-in-use.ts';
import { keep, remove, type Case, type Verdict } from './finding.ts';

export async function chrootVersionCases(stateDir: string): Promise<readonly Case[]> {
  const cases: Case[] = [];
  for (const chroot of await listChroots(stateDir)) {
    cases.push(...(await casesOf(chroot, stateDir)));
  }
  return cases;
}

async function casesOf(chroot: Chroot, stateDir: string): Promise<readonly Case[]> {
  const { name } = chroot;
  const caseOf = (version: string, verdict: Verdict): Case => ({
    machine: undefined,
    things: [{ kind: 'chroot-version', name: `${name}/${version}` }],
    verdict,
    remove: () => removeOld(stateDir, name),
  });
  try {
    const old = await oldVersions(stateDir, name, () => versionsInUse(stateDir));
    // The operator wants those that are kept: they are no finding.
    return old.flatMap(({ version, fate }) =>
      fate === 'kept' ? [] : [caseOf(version, verdictOn(fate))],
    );
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    // How many are to be kept is in the record of the current version.
    const verdict = keep(
      'the record of the current version cannot be read',
      error.message.replace(/\.$/, ''),
    );
    const versions = await listVersions(stateDir, name);
    return versions
      .filter((version) => version !== chroot.version)
      .map((version) => caseOf(version, verdict));
  }
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
