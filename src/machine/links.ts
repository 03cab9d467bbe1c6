/** The host's side of a machine's virtual Ethernet pair, where a machine has one (systemd-nspawn(1), --network-veth). */
import { deleteLink, listLinks, type Link } from '../tools/ip.ts';
import { entriesOf } from './directory-entries.ts';
import { parseMachineName } from './names.ts';

const PREFIX = /^v[eb]-/;
const OURS = /^v[eb]-nsr\d-/;

/** The link's machine; undefined for a link that is not ours. */
export function machineOfLink({ name, alternativeNames }: Link): string | undefined {
  const names = [name, ...alternativeNames].filter((each) => PREFIX.test(each));
  return names
    .map((each) => each.replace(PREFIX, ''))
    .find((each) => parseMachineName(each) !== undefined);
}

/** Names of links by their machine. */
export async function linksByMachine(): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, string[]>();
  // However a name was cut, it begins with ours; most hosts have none, and ip(8) need not be asked.
  if (!entriesOf('/sys/class/net').some((name) => OURS.test(name))) return found;
  for (const link of await listLinks()) {
    const machine = machineOfLink(link);
    if (machine !== undefined) found.set(machine, [...(found.get(machine) ?? []), link.name]);
  }
  return found;
}

/**
 * For a machine whose unit is gone: the kernel removes a pair with its other end, in its own time.
 * @returns what is left, one sentence each.
 */
export async function removeLinks(machine: string): Promise<readonly string[]> {
  const names = (await linksByMachine()).get(machine) ?? [];
  if (names.length === 0) return [];
  for (const name of names) await deleteLink(name);
  return ((await linksByMachine()).get(machine) ?? []).map((name) => `link ${name}.`);
}
