/** What is in our places and does not have a name of ours: told, and never touched. */
import { join } from 'node:path';
import { entriesOf } from '../machine/directory-entries.ts';
import { groupsInSlice } from '../machine/cgroup.ts';
import { jobsDirectory } from '../machine/job-directory.ts';
import { parseMachineName, SLICE } from '../machine/names.ts';
import { keep, type Case } from './finding.ts';

export function unexplainedCases(stateDir: string): readonly Case[] {
  const isForeign = (name: string): boolean => parseMachineName(name) === undefined;
  const groups = groupsInSlice().filter((group) => isForeign(group.replace(/\.service$/, '')));
  const directories = entriesOf(jobsDirectory(stateDir)).filter(isForeign);
  return [
    ...groups.map((group) => `${SLICE}/${group}`),
    ...directories.map((name) => join(jobsDirectory(stateDir), name)),
  ].map((name) => ({
    machine: undefined,
    things: [{ kind: 'unexplained', name }],
    verdict: keep('it is in our place and has no name of ours'),
    remove: () => Promise.resolve(undefined),
  }));
}
