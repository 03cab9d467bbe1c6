/**
 * Everything that a job could leave on the host, as lines to compare:
 *
 *     const before = await hostState();
 *     … jobs come, are killed, are reaped …
 *     expect(await leftSince(before)).toEqual([]);
 *
 * An idle host has the same state twice. Chroots, caches, kept builds and our slice itself are not
 * left over: they outlive jobs on purpose.
 */
import { execa } from 'execa';
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { slicePath } from '../../src/machine/cgroup.ts';
import { SLICE } from '../../src/machine/names.ts';
import { parseProperties } from '../../src/tools/systemctl.ts';
import { STATE_DIR, SWEEP_MS } from './driver.ts';
import { leftProcesses, mountTables } from './host-processes.ts';

const OURS = /nsr1-|nspawn-runner-|custom-executor/;
/** Parts of us that stay: installed units, the slice. */
const STAYS = /^nspawn-runner(-reap)?\.(slice|service|timer)$/;
/** Places in the state directory that outlive jobs. */
const KEPT = ['chroots', 'cache', 'builds', 'temp-roots', 'canary'];

export type StateKind =
  | 'unit'
  | 'cgroup'
  | 'process'
  | 'mount'
  | 'link'
  | 'run'
  | 'state'
  | 'temp-dir'
  | 'loop'
  | 'machine';

/** Lines by kind. */
export type HostState = Readonly<Record<StateKind, readonly string[]>>;

export async function hostState(): Promise<HostState> {
  const [unit, link, machine] = await Promise.all([units(), links(), machines()]);
  return {
    unit,
    cgroup: cgroupRoots().flatMap((root) => ourGroups(root)),
    process: leftProcesses(slicePath(SLICE)),
    mount: mounts(),
    link,
    run: runPaths(),
    state: statePaths(),
    'temp-dir': tempDirs(),
    loop: loops(),
    machine,
  };
}

/**
 * One line for each thing that came or went between two states; none that names something of
 * `ignore` (living machines, their temporary directories).
 */
export function difference(
  before: HostState,
  after: HostState,
  ignore: readonly string[] = [],
): string[] {
  const isOfInterest = (line: string): boolean => !ignore.some((name) => line.includes(name));
  return (Object.keys(after) as StateKind[]).flatMap((kind) => {
    const old = new Set(before[kind]);
    const now = new Set(after[kind]);
    return [
      ...[...now].filter((line) => !old.has(line)).map((line) => `left: ${kind}: ${line}`),
      ...[...old].filter((line) => !now.has(line)).map((line) => `lost: ${kind}: ${line}`),
    ].filter(isOfInterest);
  });
}

/** What came since `before` and does not go within `timeoutMs`: sweeps of the trash take a moment. */
export async function leftSince(
  before: HostState,
  {
    ignore = [],
    timeoutMs = SWEEP_MS,
  }: { ignore?: readonly string[] | (() => readonly string[]); timeoutMs?: number } = {},
): Promise<string[]> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const after = await hostState();
    // Asked after the look: what is to be ignored may be coming and going too.
    const left = difference(before, after, typeof ignore === 'function' ? ignore() : ignore);
    if (left.length === 0 || performance.now() > end) return left;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Ours in any state, transient ones of whatever name, and all that failed. */
async function units(): Promise<string[]> {
  const properties = 'Id,LoadState,ActiveState,Transient';
  const { stdout } = await execa('systemctl', ['show', `--property=${properties}`, '--', '*']);
  return stdout.split('\n\n').flatMap((block) => {
    const unit = parseProperties(block);
    const { Id: id = '', ActiveState: state } = unit;
    if (STAYS.test(id) || /^(session-|user@|nspawn\.slice)/.test(id)) return [];
    const isOdd = OURS.test(id) || unit['Transient'] === 'yes' || state === 'failed';
    return isOdd ? [`${id} ${String(unit['LoadState'])} ${String(state)}`] : [];
  });
}

/** Every mounted hierarchy: the unified one, and beside it those of v1. */
function cgroupRoots(): string[] {
  const root = '/sys/fs/cgroup';
  return existsSync(join(root, 'cgroup.controllers'))
    ? [root]
    : readdirSync(root).map((name) => join(root, name));
}

/** Groups below our slice or of our names, not what is below them. */
function ourGroups(group: string): string[] {
  return directories(group).flatMap((name) => {
    const path = join(group, name);
    const isOurs = group.endsWith(`/${SLICE}`) || (OURS.test(name) && !STAYS.test(name));
    if (!isOurs) return ourGroups(path);
    const events = readOrEmpty(join(path, 'cgroup.events'));
    return [`${path}${/^populated 1$/m.test(events) ? ' with processes' : ''}`];
  });
}

/** All of the host's own mounts; of other namespaces those that have to do with a job. */
function mounts(): string[] {
  const host = readFileSync('/proc/1/mountinfo', 'utf8');
  const own = lines(host)
    .map(describeMount)
    // systemd.exec(5), "CREDENTIALS": mounted while the service runs.
    .filter((text) => !text.startsWith('/run/credentials/'));
  const others = mountTables()
    .filter(({ table }) => table !== host)
    .flatMap(({ pid, table }) =>
      lines(table)
        .filter((line) => /nsr1-|custom-executor/.test(line))
        .map((line) => `${describeMount(line)}, in the mount namespace of process ${pid}`),
    );
  return [...own, ...others];
}

/** proc_pid_mountinfo(5): root, mount point, options, then past a dash type, source and options. */
function describeMount(line: string): string {
  const [left = '', right = ''] = line.split(' - ');
  const [, , , root, point] = left.split(' ');
  return `${String(point)} from ${String(root)} of ${right}`;
}

async function links(): Promise<string[]> {
  const { stdout } = await execa('ip', ['-json', 'link', 'show']);
  const found = JSON.parse(stdout) as { ifname: string; altnames?: string[] }[];
  return found.map(({ ifname, altnames = [] }) => [ifname, ...altnames].join(' = '));
}

/** What nspawn, machined, systemd and we keep in /run and other places that are not ours alone. */
function runPaths(): string[] {
  const whole = ['/run/systemd/machines', '/run/netns', '/dev/shm', '/var/lib/machines'];
  return [
    ...whole.flatMap((path) => entries(path)),
    // The directories of both exist for good after the first machine.
    ...['/run/systemd/nspawn', '/run/nspawn-runner'].flatMap((path) =>
      directories(path).flatMap((name) => entries(join(path, name))),
    ),
    ...named('/run/systemd', 3),
    ...named('/run', 1),
    ...named('/var/tmp', 1),
    ...named('/dev/shm', 1),
  ];
}

function statePaths(): string[] {
  const top = entries(STATE_DIR).filter((path) => !isOneOf(path, KEPT));
  const builds = entries(join(STATE_DIR, 'chroots')).flatMap((chroot) =>
    entries(chroot).filter((path) => !isOneOf(path, ['versions', 'current', 'recipe.yaml'])),
  );
  return [...top.flatMap((path) => entries(path)), ...builds];
}

/** GitLab Runner's directories, where it makes them and in the roots that tests make. */
function tempDirs(): string[] {
  return [...new Set([tmpdir(), '/tmp', '/var/tmp'])]
    .flatMap((root) => [root, ...directories(root).map((name) => join(root, name))])
    .flatMap((path) => entries(path))
    .filter((path) => /\/custom-executor[^/]*$/.test(path));
}

/** Of other hosts of this kernel there are no nodes here. */
function loops(): string[] {
  return directories('/sys/block')
    .filter((name) => name.startsWith('loop') && existsSync(join('/dev', name)))
    .map((name) => [name, readOrEmpty(`/sys/block/${name}/loop/backing_file`).trim()])
    .filter(([, file]) => file !== '')
    .map(([name, file]) => `${String(name)} on ${String(file)}`);
}

async function machines(): Promise<string[]> {
  const { stdout } = await execa('machinectl', ['list', '--no-legend', '--no-pager']);
  return lines(stdout).map((line) => line.trim().split(/\s+/)[0] ?? '');
}

/** Paths below `root` whose own name is ours. */
function named(root: string, depth: number): string[] {
  return entries(root).flatMap((path) => {
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (OURS.test(name) && !/nspawn-runner(-reap)?\.(slice|service|timer)/.test(name))
      return [path];
    return depth > 1 && isDirectory(path) ? named(path, depth - 1) : [];
  });
}

function isOneOf(path: string, names: readonly string[]): boolean {
  return names.includes(path.slice(path.lastIndexOf('/') + 1));
}

/** Full paths; none for a directory that is not there. */
function entries(path: string): string[] {
  try {
    return readdirSync(path).map((name) => join(path, name));
  } catch {
    return [];
  }
}

function directories(path: string): string[] {
  try {
    return readdirSync(path).filter((name) => isDirectory(join(path, name)));
  } catch {
    return [];
  }
}

function isDirectory(path: string): boolean {
  try {
    return lstatSync(path).isDirectory();
  } catch {
    return false;
  }
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
