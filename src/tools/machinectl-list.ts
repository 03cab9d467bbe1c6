/** machinectl(1): the machines that systemd-machined knows, of whatever origin. */
import * as z from 'zod/mini';
import { CommandError, HostError } from '../errors.ts';
import { run } from './exec.ts';
import { parseProperties } from './systemctl.ts';

export interface Asking {
  readonly timeoutSec: number;
  readonly signal: AbortSignal | undefined;
}

// ".host" has no service.
const List = z.array(z.object({ machine: z.string(), service: z.nullish(z.string()) }));

export type ListedMachine = z.infer<typeof List>[number];

/** @throws HostError for output of an unknown form. */
export async function listRegisteredMachines(asking: Asking): Promise<ListedMachine[]> {
  const args = ['list', '--all', '--output=json'];
  return parseMachineList((await run('machinectl', args, asking)).stdout);
}

export function parseMachineList(text: string): ListedMachine[] {
  // An empty list is "[]" from 257 on and nothing at all from 252.
  if (text.trim() === '') return [];
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new HostError('machinectl gave a list that is no JSON.', { cause: error });
  }
  const list = List.safeParse(value);
  if (list.success) return list.data;
  throw new HostError('machinectl gave a list of an unknown form.', { cause: list.error });
}

export interface RegisteredMachine {
  readonly leader: number | undefined;
  readonly unit: string;
  /** Absolute; undefined for a virtual machine. */
  readonly rootDirectory: string | undefined;
}

/** Undefined when machined has no such machine. */
export async function showRegisteredMachine(
  name: string,
  asking: Asking,
): Promise<RegisteredMachine | undefined> {
  // Unlike systemctl it takes one name an option.
  const properties = ['Leader', 'Unit', 'RootDirectory'].map((each) => `--property=${each}`);
  const args = ['show', ...properties, '--', name];
  try {
    const values = parseProperties((await run('machinectl', args, asking)).stdout);
    const leader = Number(values['Leader']);
    const root = values['RootDirectory'];
    return {
      leader: Number.isSafeInteger(leader) && leader > 1 ? leader : undefined,
      unit: values['Unit'] ?? '',
      rootDirectory: root?.startsWith('/') === true ? root : undefined,
    };
  } catch (error) {
    if (isNoMachine(error)) return undefined;
    throw error;
  }
}

/** Ends a machine at once; one that is gone is no failure. */
export async function terminateMachine(name: string, asking: Asking): Promise<void> {
  try {
    await run('machinectl', ['terminate', '--', name], asking);
  } catch (error) {
    if (!isNoMachine(error)) throw error;
  }
}

function isNoMachine(error: unknown): boolean {
  return error instanceof CommandError && /No machine '.*' known/.test(error.command.stderrTail);
}
