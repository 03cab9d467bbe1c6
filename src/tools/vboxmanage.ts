/**
 * VBoxManage(1), run as the user whose machines it is about. What it prints is documented in the
 * VirtualBox manual, chapter "VBoxManage"; the form of `--machinereadable` in its source,
 * VBoxManageInfo.cpp: strings in double quotes, in which 7 escapes `"` and `\`, and 6 does not.
 */
import { CommandError } from '../errors.ts';
import { findProgram } from './find-program.ts';
import { runAsUser } from './run-as-user.ts';

export interface VBoxUser {
  readonly user: string;
  readonly timeoutSec: number;
  readonly signal: AbortSignal | undefined;
}

export const VBOX_PROGRAMS = ['VBoxManage', 'vboxmanage'] as const;
/** What any call may start: one for all machines of the user (manual, "VirtualBox executables"). */
export const VBOX_DAEMONS = ['VBoxSVC', 'VBoxXPCOMIPCD', 'VBoxNetDHCP', 'VBoxNetNAT'] as const;

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** @throws CommandError; HostError when VirtualBox is not there; Stopped. */
async function vboxmanage(session: VBoxUser, args: readonly string[]): Promise<string> {
  const program = (await findProgram(...VBOX_PROGRAMS)) ?? VBOX_PROGRAMS[0];
  // VBoxManage takes no "--"; what stands where a name may stand is a UUID or an absolute path.
  const argv = [program, '--nologo', ...args];
  const { stdout } = await runAsUser({ ...session, argv, daemons: VBOX_DAEMONS });
  return stdout;
}

/** Whether VirtualBox said so because it knows no such machine, medium or network. */
export function isUnknownObject(error: unknown): boolean {
  return hasCode(error, 'VBOX_E_OBJECT_NOT_FOUND', '0x80bb0001');
}

/** Whether a session holds the machine or a task its medium: it may be over in a moment. */
export function isLocked(error: unknown): boolean {
  return hasCode(error, 'VBOX_E_INVALID_OBJECT_STATE', '0x80bb0007');
}

/** Whether another machine, a snapshot or a child disk needs the medium. */
export function isInUse(error: unknown): boolean {
  return hasCode(error, 'VBOX_E_OBJECT_IN_USE', '0x80bb000c');
}

function hasCode(error: unknown, name: string, code: string): boolean {
  if (!(error instanceof CommandError)) return false;
  return error.command.stderrTail.includes(name) || error.command.stderrTail.includes(code);
}

/** UUIDs of the user's machines of any state. */
export async function listMachines(session: VBoxUser): Promise<string[]> {
  return parseMachines(await vboxmanage(session, ['list', 'vms']));
}

/** Parses `list vms`, lines of `"NAME" {UUID}`; a name may hold anything but a newline. */
export function parseMachines(text: string): string[] {
  const ids = text.split('\n').map((line) => / \{([0-9a-f-]{36})\}\r?$/.exec(line)?.[1] ?? '');
  return [...new Set(ids.filter((id) => UUID.test(id)))];
}

export interface VBoxAttachment {
  readonly controller: string;
  readonly port: string;
  readonly device: string;
  /** UUID of the medium. */
  readonly medium: string;
  /** Its file, as the machine itself names it. */
  readonly location: string | undefined;
}

export interface VBoxMachine {
  readonly id: string;
  /** Undefined for a machine whose settings cannot be read. */
  readonly name: string | undefined;
  /** `running`, `poweroff`, `saved`, `aborted` and so on; `inaccessible`. */
  readonly state: string;
  readonly configFile: string | undefined;
  readonly snapshotFolder: string | undefined;
  readonly description: string;
  readonly attachments: readonly VBoxAttachment[];
  readonly hostOnlyInterfaces: readonly string[];
  readonly hasSnapshots: boolean;
  /** The directory of its Vagrantfile, which Vagrant shares with it under this very name. */
  readonly vagrantFolder: string | undefined;
}

/** Undefined when the user has no such machine. */
export async function showMachine(session: VBoxUser, id: string): Promise<VBoxMachine | undefined> {
  try {
    const machine = parseMachine(
      await vboxmanage(session, ['showvminfo', id, '--machinereadable']),
      id,
    );
    if (machine.state !== 'inaccessible') return machine;
    // Only the text for people names the settings file of such a machine.
    const text = await vboxmanage(session, ['showvminfo', id]);
    return { ...machine, configFile: /^Config file: +(\/.*?)\r?$/m.exec(text)?.[1] };
  } catch (error) {
    if (isUnknownObject(error)) return undefined;
    throw error;
  }
}

/** A machine of which only its process is known. */
export function unregisteredMachine(id: string): VBoxMachine {
  return parseMachine('VMState="running"', id);
}

/** Parses `showvminfo --machinereadable`. */
export function parseMachine(text: string, id: string): VBoxMachine {
  const values = parseMachineReadable(text);
  const name = values.get('name');
  const isInaccessible = name === '<inaccessible>' && !values.has('VMState');
  return {
    id,
    name: isInaccessible ? undefined : name,
    state: isInaccessible ? 'inaccessible' : (values.get('VMState') ?? 'unknown'),
    configFile: values.get('CfgFile'),
    snapshotFolder: values.get('SnapFldr'),
    description: values.get('description') ?? '',
    attachments: attachmentsOf(values),
    hostOnlyInterfaces: [
      ...new Set(
        [...values]
          .filter(([key]) => /^hostonlyadapter\d+$/.test(key))
          .map(([, network]) => network),
      ),
    ],
    hasSnapshots: values.has('SnapshotName'),
    vagrantFolder: sharedFolder(values, 'vagrant'),
  };
}

function attachmentsOf(values: ReadonlyMap<string, string>): VBoxAttachment[] {
  return [...values].flatMap(([key, medium]) => {
    const [, controller, port, device] = /^(.*)-ImageUUID-(\d+)-(\d+)$/s.exec(key) ?? [];
    if (controller === undefined || port === undefined || device === undefined) return [];
    const location = values.get(`${controller}-${port}-${device}`);
    return UUID.test(medium) ? [{ controller, port, device, medium, location }] : [];
  });
}

function sharedFolder(values: ReadonlyMap<string, string>, name: string): string | undefined {
  const prefix = 'SharedFolderNameMachineMapping';
  const [key] =
    [...values].find(([each, value]) => each.startsWith(prefix) && value === name) ?? [];
  return key === undefined
    ? undefined
    : values.get(`SharedFolderPathMachineMapping${key.slice(prefix.length)}`);
}

/**
 * Parses lines of `key="value"`, `"key"="value"` and `key=value`. A value in quotes goes on until
 * a line that ends with a quote; the first value of a key counts, for a description comes last and
 * may imitate others.
 */
export function parseMachineReadable(text: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  const lines = text.split(/\r?\n/);
  for (let at = 0; at < lines.length; at++) {
    const [, quoted, bare, first = ''] =
      /^(?:"((?:[^"\\]|\\.)*)"|([^"=]+))=(.*)$/.exec(lines[at] ?? '') ?? [];
    const key = quoted === undefined ? bare : unescape(quoted);
    if (key === undefined) continue;
    let value = first;
    if (value.startsWith('"')) {
      while ((value === '"' || !value.endsWith('"')) && at + 1 < lines.length) {
        value += `\n${lines[++at] ?? ''}`;
      }
      value = unescape(value.slice(1, value.endsWith('"') ? -1 : undefined));
    }
    if (!values.has(key)) values.set(key, value);
  }
  return values;
}

function unescape(text: string): string {
  return text.replaceAll(/\\(["\\])/g, '$1');
}

export interface VBoxDisk {
  readonly id: string;
  /** UUID, or undefined for a base disk. */
  readonly parent: string | undefined;
  readonly state: string;
  readonly location: string;
}

/** The disks of the user's media registry, also of machines that were never finished. */
export async function listDisks(session: VBoxUser): Promise<VBoxDisk[]> {
  return parseDisks(await vboxmanage(session, ['list', 'hdds']));
}

/**
 * Parses `list hdds`: paragraphs of `Key: value`. A path may hold a newline and so imitate another
 * disk; a UUID that occurs twice is left out.
 */
export function parseDisks(text: string): VBoxDisk[] {
  const disks = parseParagraphs(text).flatMap((values) => {
    const id = values.get('UUID');
    const location = values.get('Location') ?? '';
    const parent = values.get('Parent UUID') ?? '';
    if (id === undefined || !UUID.test(id)) return [];
    const state = values.get('State') ?? '';
    return [{ id, state, location, parent: UUID.test(parent) ? parent : undefined }];
  });
  const times = new Map<string, number>();
  for (const { id } of disks) times.set(id, (times.get(id) ?? 0) + 1);
  return disks.filter(({ id, location }) => times.get(id) === 1 && location.startsWith('/'));
}

export async function listHostOnlyInterfaces(session: VBoxUser): Promise<string[]> {
  return parseHostOnlyInterfaces(await vboxmanage(session, ['list', 'hostonlyifs']));
}

/** Parses `list hostonlyifs`: paragraphs of `Key: value`. */
export function parseHostOnlyInterfaces(text: string): string[] {
  return parseParagraphs(text).flatMap((values) => values.get('Name') ?? []);
}

function parseParagraphs(text: string): ReadonlyMap<string, string>[] {
  return text.split(/\n\s*\n/).map((paragraph) => {
    const values = new Map<string, string>();
    for (const line of paragraph.split(/\r?\n/)) {
      const [, key, value] = /^([A-Z][\w /]*):\s*(.*?)\s*$/.exec(line) ?? [];
      if (key !== undefined && value !== undefined && !values.has(key)) values.set(key, value);
    }
    return values;
  });
}

export async function powerOffMachine(session: VBoxUser, id: string): Promise<void> {
  await vboxmanage(session, ['controlvm', id, 'poweroff']);
}

/** Ends the process of a machine that does not answer (IMachine::launchVMProcess in the SDK reference). */
export async function emergencyStop(session: VBoxUser, id: string): Promise<void> {
  await vboxmanage(session, ['startvm', id, '--type=emergencystop']);
}

export async function discardSavedState(session: VBoxUser, id: string): Promise<void> {
  await vboxmanage(session, ['discardstate', id]);
}

/** `withDisks` deletes every disk that is attached, wherever it is, and the machine's own files. */
export async function unregisterMachine(
  session: VBoxUser,
  id: string,
  withDisks: boolean,
): Promise<void> {
  await vboxmanage(session, ['unregistervm', id, ...(withDisks ? ['--delete'] : [])]);
}

export async function detachDisk(
  session: VBoxUser,
  id: string,
  { controller, port, device }: VBoxAttachment,
): Promise<void> {
  const at = [`--storagectl=${controller}`, `--port=${port}`, `--device=${device}`];
  await vboxmanage(session, ['storageattach', id, ...at, '--medium=none']);
}

/** Forgets a disk that no machine uses; `andDelete` removes its file too. */
export async function closeDisk(session: VBoxUser, id: string, andDelete: boolean): Promise<void> {
  await vboxmanage(session, ['closemedium', 'disk', id, ...(andDelete ? ['--delete'] : [])]);
}

/** With its DHCP server, if it has one; `--ifname` is the name that all versions know. */
export async function removeHostOnlyInterface(session: VBoxUser, name: string): Promise<void> {
  try {
    await vboxmanage(session, ['dhcpserver', 'remove', `--ifname=${name}`]);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
  }
  await vboxmanage(session, ['hostonlyif', 'remove', name]);
}
