/** virsh(1): the domains and storage pools of libvirt's system daemon. */
import { CommandError } from '../errors.ts';
import { run } from './exec.ts';

export interface Virsh {
  readonly timeoutSec: number;
  readonly signal: AbortSignal | undefined;
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

async function virsh(options: Virsh, ...args: readonly string[]): Promise<string> {
  const { stdout } = await run('virsh', ['--connect=qemu:///system', '--quiet', ...args], options);
  return stdout;
}

/** Whether virsh said so because there is no such domain, pool or volume. */
export function isUnknownToLibvirt(error: unknown): boolean {
  return (
    error instanceof CommandError &&
    /^error: (failed to get (domain|pool|vol)|(Domain|Storage pool|Storage volume) not found)/m.test(
      error.command.stderrTail,
    )
  );
}

async function unlessUnknown<T>(command: Promise<T>): Promise<T | undefined> {
  try {
    return await command;
  } catch (error) {
    if (isUnknownToLibvirt(error)) return undefined;
    throw error;
  }
}

/** UUIDs of all domains, running or not, kept or transient. */
export async function listDomains(options: Virsh): Promise<string[]> {
  return parseUuids(await virsh(options, 'list', '--all', '--uuid'));
}

export function parseUuids(text: string): string[] {
  const words = text.split('\n').map((line) => line.trim());
  return [...new Set(words.filter((word) => UUID.test(word)))];
}

/** The domain's live XML, else the one it will start from; undefined when it is gone. */
export async function domainXml(options: Virsh, id: string): Promise<string | undefined> {
  return unlessUnknown(virsh(options, 'dumpxml', `--domain=${id}`));
}

/** `running`, `paused`, `shut off`, `crashed` and so on; undefined when it is gone. */
export async function domainState(options: Virsh, id: string): Promise<string | undefined> {
  return (await unlessUnknown(virsh(options, 'domstate', `--domain=${id}`)))?.trim();
}

/** Ends a domain at once; one that does not run is no failure. */
export async function destroyDomain(options: Virsh, id: string): Promise<void> {
  try {
    await virsh(options, 'destroy', `--domain=${id}`);
  } catch (error) {
    const isOver =
      error instanceof CommandError && /domain is not running/.test(error.command.stderrTail);
    if (!isOver && !isUnknownToLibvirt(error)) throw error;
  }
}

/**
 * Forgets a domain with its saved state, snapshots and checkpoints; its disks stay.
 * @param nvram What becomes of its file of firmware variables.
 */
export async function undefineDomain(
  options: Virsh,
  id: string,
  nvram: 'remove' | 'keep',
): Promise<void> {
  const flags = ['--managed-save', '--snapshots-metadata', '--checkpoints-metadata'];
  const fate = nvram === 'remove' ? '--nvram' : '--keep-nvram';
  await unlessUnknown(virsh(options, 'undefine', `--domain=${id}`, ...flags, fate));
}

/** Absolute path of a volume; undefined when libvirt does not know it. */
export async function volumePath(
  options: Virsh,
  pool: string,
  volume: string,
): Promise<string | undefined> {
  return (
    await unlessUnknown(virsh(options, 'vol-path', `--pool=${pool}`, `--vol=${volume}`))
  )?.trim();
}

export async function listPools(options: Virsh): Promise<string[]> {
  return parseUuids(await virsh(options, 'pool-list', '--all', '--uuid'));
}

export async function poolXml(options: Virsh, id: string): Promise<string | undefined> {
  return unlessUnknown(virsh(options, 'pool-dumpxml', `--pool=${id}`));
}

/** Stops and forgets a pool; what is in it stays. */
export async function removePool(options: Virsh, id: string): Promise<void> {
  try {
    await virsh(options, 'pool-destroy', `--pool=${id}`);
  } catch (error) {
    const isOff =
      error instanceof CommandError && /pool '.*' is not active/.test(error.command.stderrTail);
    if (!isOff && !isUnknownToLibvirt(error)) throw error;
  }
  await unlessUnknown(virsh(options, 'pool-undefine', `--pool=${id}`));
}
