/**
 * Vagrant's index of a user's environments, read as the file that it is: `vagrant global-status`
 * starts Ruby for a second and shortens ids. Format: lib/vagrant/machine_index.rb in Vagrant,
 * version 1 since 1.6.
 */
import { join } from 'node:path';
import * as z from 'zod/mini';
import { HostError } from '../errors.ts';
import type { Account } from '../tools/getent.ts';
import { readSmallFile } from './small-file.ts';

const MAX_BYTES = 16 * 1024 * 1024;
const VIRTUALBOX_ID_BYTES = 64;

export interface VagrantEntry {
  /** 32 hexadecimal digits. */
  readonly id: string;
  readonly name: string;
  readonly provider: string;
  readonly state: string;
  /** Where the Vagrantfile is. */
  readonly directory: string;
  /** What Vagrant keeps of the environment, `.vagrant` as a rule. */
  readonly dataDirectory: string;
}

const text = z.nullish(z.string());
const Index = z.object({
  version: z.literal(1),
  machines: z.record(
    z.string(),
    z.object({
      name: text,
      provider: text,
      state: text,
      vagrantfile_path: text,
      local_data_path: text,
    }),
  ),
});

/** Entries of the user's index; none when he never used Vagrant. */
export async function readMachineIndex(account: Pick<Account, 'home'>): Promise<VagrantEntry[]> {
  const path = join(account.home, '.vagrant.d/data/machine-index/index');
  const content = await readSmallFile(path, MAX_BYTES);
  return content === undefined ? [] : parseMachineIndex(content, path);
}

/** @throws HostError for text that is no index of version 1. */
export function parseMachineIndex(content: string, path: string): VagrantEntry[] {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch (error) {
    throw new HostError(`Vagrant's index "${path}" is torn.`, { cause: error });
  }
  const index = Index.safeParse(value);
  if (!index.success) {
    throw new HostError(`Vagrant's index "${path}" has a form that is not known.`, {
      cause: index.error,
    });
  }
  return Object.entries(index.data.machines).flatMap(([id, entry]) => {
    const directory = entry.vagrantfile_path;
    if (!/^[0-9a-f]{32}$/.test(id) || directory?.startsWith('/') !== true) return [];
    const kept = entry.local_data_path;
    return [
      {
        id,
        name: entry.name ?? '',
        provider: entry.provider ?? '',
        state: entry.state ?? 'unknown',
        directory,
        dataDirectory: kept?.startsWith('/') === true ? kept : join(directory, '.vagrant'),
      },
    ];
  });
}

/** UUID of the VirtualBox machine of an entry, from `machines/NAME/virtualbox/id`. */
export async function virtualBoxId(entry: VagrantEntry): Promise<string | undefined> {
  if (entry.provider !== 'virtualbox' || !/^[^/\0]+$/.test(entry.name)) return undefined;
  if (entry.name === '..' || entry.name === '.') return undefined;
  const content = await readSmallFile(idFile(entry), VIRTUALBOX_ID_BYTES).catch(() => undefined);
  const id = content?.trim();
  return id !== undefined && /^[0-9a-f-]{36}$/.test(id) ? id : undefined;
}

/** Where Vagrant keeps what the provider calls the machine. */
export function idFile({ dataDirectory, name, provider }: VagrantEntry): string {
  return join(dataDirectory, 'machines', name, provider, 'id');
}
