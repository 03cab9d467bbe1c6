/**
 * VirtualBox's own processes outside machines of jobs. VBoxSVC serves all machines of its user and
 * gives those it starts its environment, so the mark that one has may be another job's: they are
 * ended through VirtualBox, or not at all.
 */
import { readlinkSync, statSync } from 'node:fs';
import { basename } from 'node:path';

const PROGRAMS = [
  'VBoxSVC',
  'VBoxXPCOMIPCD',
  'VBoxHeadless',
  'VirtualBoxVM',
  'VBoxSDL',
  'VBoxNetDHCP',
  'VBoxNetNAT',
];

/** Told by its program's file, which must be root's: a name alone anyone can take. */
export function isVirtualBoxProcess(pid: number): boolean {
  try {
    const file = `/proc/${pid}/exe`;
    const program = basename(readlinkSync(file).replace(/ \(deleted\)$/, ''));
    return PROGRAMS.includes(program) && statSync(file).uid === 0;
  } catch {
    return false;
  }
}
