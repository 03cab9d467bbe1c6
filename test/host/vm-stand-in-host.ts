/** VirtualBox and Vagrant played by stand-ins, with users who have machines. */
import { execa } from 'execa';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';

const NETWORKS = '/run/vbox-stand-in.json';

/** Stand-ins go to /usr/local/bin, which is only a lab host's to change. */
export function mayInstallStandIns(): boolean {
  const isLab = process.env['NSPAWN_RUNNER_TEST_HOST'] === 'lab';
  if (!isLab) console.warn('SKIPPED: stand-ins for VirtualBox and Vagrant want a lab host.');
  return isLab;
}

export async function installStandIn(program: string): Promise<void> {
  const source = join(import.meta.dirname, 'vm-stand-ins', program);
  const place = `/usr/local/lib/vm-stand-ins/${program}`;
  await mkdir(dirname(place), { recursive: true });
  await writeFile(place, await readFile(source), { mode: 0o644 });
  const start = `#!/bin/sh\nexec '${process.execPath}' '${place}' "$@"\n`;
  await writeFile(`/usr/local/bin/${program}`, start, { mode: 0o755 });
}

/** The host's other tests want no tools for virtual machines. */
export async function removeStandIns(): Promise<void> {
  for (const program of ['VBoxManage', 'vagrant']) {
    await rm(`/usr/local/bin/${program}`, { force: true });
  }
}

export interface TestUser {
  readonly name: string;
  readonly uid: number;
  readonly home: string;
}

export async function addUser(name: string): Promise<TestUser> {
  const home = `/home/${name}`;
  await execa('useradd', ['--create-home', `--home-dir=${home}`, name], { reject: false });
  const { stdout } = await execa('id', ['--user', name]);
  return { name, uid: Number(stdout), home };
}

export async function removeUser(name: string): Promise<void> {
  await execa('userdel', ['--remove', '--force', name], { reject: false });
}

export interface StandInMachine {
  id: string;
  name: string;
  config: string;
  state: string;
  disks?: string[];
  snapshotDisks?: string[];
  networks?: string[];
  description?: string;
  snapshot?: string;
  /** Directories by the name of the share. */
  sharedFolders?: Record<string, string>;
  inaccessible?: boolean;
  /** `controlvm` hangs; it fails; `emergencystop` fails too. */
  hangs?: boolean;
  stuck?: true | 'hard';
  /** How often a command finds the session locked. */
  locks?: number;
  pid?: number;
}

export interface StandInDisk {
  id: string;
  location: string;
  parent?: string;
}

interface State {
  machines: StandInMachine[];
  disks: StandInDisk[];
}

/** What VirtualBox knows for one user. */
export class StandInVirtualBox {
  readonly user: TestUser;
  readonly #state: State = { machines: [], disks: [] };

  constructor(user: TestUser) {
    this.user = user;
  }

  get folder(): string {
    return join(this.user.home, 'VirtualBox VMs');
  }

  async disk(location: string, parent?: string): Promise<StandInDisk> {
    await this.#write(location, 'disk');
    const disk = { id: randomUUID(), location, ...(parent === undefined ? {} : { parent }) };
    this.#state.disks.push(disk);
    return disk;
  }

  /** A machine in the default folder, unless `config` says otherwise. */
  async machine(
    name: string,
    more: Partial<StandInMachine> & { readonly in?: string } = {},
  ): Promise<StandInMachine> {
    const { in: base, ...rest } = more;
    const config = more.config ?? join(base ?? this.folder, name, `${name}.vbox`);
    await this.#write(config, '<VirtualBox/>');
    await this.#write(join(dirname(config), 'Logs/VBox.log'), 'log');
    const machine = { id: randomUUID(), name, config, state: 'poweroff', ...rest };
    this.#state.machines.push(machine);
    return machine;
  }

  /** A process of VirtualBox, which ends with the test. */
  start(program: string, args: readonly string[], env: Record<string, string> = {}): number {
    const child = execa(process.execPath, ['-e', 'setInterval(() => {}, 1e6)', '--', ...args], {
      argv0: `/usr/lib/virtualbox/${program}`,
      uid: this.user.uid,
      env: { PATH: '/usr/bin:/bin', ...env },
      extendEnv: false,
      stdio: 'ignore',
      detached: true,
      cleanup: false,
      reject: false,
    });
    onTestFinished(() => {
      child.kill('SIGKILL');
    });
    return child.pid ?? 0;
  }

  run(machine: StandInMachine, env: Record<string, string> = {}): void {
    machine.pid = this.start(
      'VBoxHeadless',
      ['--comment', machine.name, '--startvm', machine.id, '--vrde', 'config'],
      env,
    );
    machine.state = 'running';
  }

  async save(): Promise<void> {
    const place = join(this.user.home, '.config/VirtualBox');
    await this.#write(join(place, 'VirtualBox.xml'), '<VirtualBox/>');
    await this.#write(join(place, 'stand-in.json'), JSON.stringify(this.#state));
  }

  async left(): Promise<State> {
    const text = await readFile(join(this.user.home, '.config/VirtualBox/stand-in.json'), 'utf8');
    return JSON.parse(text) as State;
  }

  async names(): Promise<string[]> {
    return (await this.left()).machines.map(({ name }) => name).sort();
  }

  /** As the user, all directories on the way included. */
  async #write(path: string, content: string): Promise<void> {
    const made = await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
    if (made !== undefined) await execa('chown', ['--recursive', this.user.name, made]);
    await chown(path, this.user.uid, -1);
  }
}

export async function setNetworks(
  interfaces: readonly string[],
  dhcp: readonly string[],
): Promise<void> {
  await writeFile(NETWORKS, JSON.stringify({ interfaces, dhcp }));
  await chmod(NETWORKS, 0o666);
}

export async function networksLeft(): Promise<{ interfaces: string[]; dhcp: string[] }> {
  if (!existsSync(NETWORKS)) return { interfaces: [], dhcp: [] };
  return JSON.parse(await readFile(NETWORKS, 'utf8')) as { interfaces: string[]; dhcp: string[] };
}

export async function removeNetworks(): Promise<void> {
  await rm(NETWORKS, { force: true });
}

interface IndexEntry {
  readonly local_data_path: string;
  readonly name: string;
  readonly provider: string;
  readonly state: string;
  readonly vagrantfile_path: string;
}

/** What Vagrant knows for one user. */
export class StandInVagrant {
  readonly user: TestUser;
  #machines: Record<string, IndexEntry> = {};

  constructor(user: TestUser) {
    this.user = user;
  }

  get index(): string {
    return join(this.user.home, '.vagrant.d/data/machine-index/index');
  }

  async environment(directory: string, machine: StandInMachine, program = 'up'): Promise<void> {
    const data = join(directory, '.vagrant');
    await mkdir(join(data, 'machines/default/virtualbox'), { recursive: true });
    await writeFile(join(data, 'machines/default/virtualbox/id'), machine.id);
    await writeFile(join(directory, 'Vagrantfile'), program);
    await execa('chown', ['--recursive', this.user.name, directory]);
    this.#machines[randomUUID().replaceAll('-', '')] = {
      local_data_path: data,
      name: 'default',
      provider: 'virtualbox',
      state: 'running',
      vagrantfile_path: directory,
    };
  }

  /** The same index for this user. */
  async adopt(other: StandInVagrant): Promise<void> {
    this.#machines = other.#machines;
    await this.save();
  }

  async save(): Promise<void> {
    await mkdir(dirname(this.index), { recursive: true });
    await writeFile(this.index, JSON.stringify({ version: 1, machines: this.#machines }));
    const top = join(this.user.home, '.vagrant.d');
    await execa('chown', ['--recursive', this.user.name, top]);
  }

  /** Of the environments that are still in the index. */
  async directories(): Promise<string[]> {
    const text = await readFile(this.index, 'utf8');
    const { machines } = JSON.parse(text) as { machines: Record<string, IndexEntry> };
    return Object.values(machines)
      .map((entry) => entry.vagrantfile_path)
      .sort();
  }
}
