/**
 * Chroots made by the built program in a state directory of a test's own, from a tar archive of the
 * host's debian-12 without what no machine needs: a new version takes about two seconds.
 */
import { execa } from 'execa';
import { chmod, mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findChroot, type Chroot } from '../../src/chroot/store.ts';
import { BUNDLE, host, STATE_DIR, SWEEP_MS, waitFor } from './driver.ts';
import { hostState, leftSince, type HostState } from './host-state.ts';
import { quietHost } from './quiet-host.ts';

/** Written by a step of the recipe, the same in each, and another in each version. */
export const STAMPS = [
  '/etc/stamp',
  '/usr/share/stamps/one',
  '/usr/share/stamps/two',
  '/opt/stamp',
];
const NOT_NEEDED = [
  ...['doc', 'locale', 'man', 'zoneinfo'].map((name) => `./usr/share/${name}/*`),
  ...['./usr/share/perl*', './usr/lib/x86_64-linux-gnu/perl*', './usr/bin/perl*'],
  ...['./usr/lib/x86_64-linux-gnu/gconv', './usr/lib/x86_64-linux-gnu/libicu*'],
  ...['./usr/bin/git-lfs', './usr/lib/git-core/git-?*-?*', './usr/share/i18n'],
  './var/lib/dpkg/info/*',
];
/** What a chroot's directory may have when nobody builds. */
const STAYS = ['build.lock', 'build.log', 'current', 'versions'];

export interface Ended {
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface StartedProgram {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  /** Its process group is what it leads. */
  readonly kill: (signal: NodeJS.Signals, whom?: 'driver' | 'group') => void;
  readonly stderr: () => string;
}

export class SmallChroots {
  readonly dir: string;
  readonly stateDir: string;
  readonly settingsFile: string;
  readonly archive: string;
  readonly #before: HostState;

  private constructor(dir: string, before: HostState) {
    this.dir = dir;
    this.#before = before;
    this.stateDir = join(dir, 'state');
    this.settingsFile = join(dir, 'settings.yaml');
    this.archive = join(dir, 'base.tar');
  }

  /** Beside the host's own state: an overlay's upper layer cannot be on an overlay. */
  static async create(): Promise<SmallChroots> {
    await quietHost();
    const before = await hostState();
    const made = new SmallChroots(await mkdtemp('/var/lib/small-chroots-'), before);
    await chmod(made.dir, 0o755);
    await mkdir(join(made.dir, 'recipes'));
    const places = `state_dir: ${made.stateDir}\nrecipe_dirs: [${join(made.dir, 'recipes')}]\n`;
    await writeFile(made.settingsFile, `${places}boot_timeout: 120\n`);
    const base = await findChroot(STATE_DIR, 'debian-12');
    if (base === undefined) throw new Error('The host has no chroot debian-12.');
    const excluded = NOT_NEEDED.map((pattern) => `--exclude=${pattern}`);
    await host(
      'tar',
      `--directory=${base.path}`,
      ...excluded,
      `--file=${made.archive}`,
      '--create',
      '.',
    );
    return made;
  }

  async writeRecipe(name: string, more = ''): Promise<void> {
    const [first, ...others] = STAMPS;
    const text = [
      `tar: {location: ${this.archive}}`,
      'keep: 0',
      'script:',
      `  - mkdir /usr/share/stamps; cat /proc/sys/kernel/random/uuid >${first ?? ''}; for at in ${others.join(' ')}; do cp ${first ?? ''} $at; done`,
      more,
    ];
    await this.writeFile(`recipes/${name}.yaml`, `${text.join('\n')}\n`);
  }

  /** @param path below the test's directory. */
  async writeFile(path: string, text: string): Promise<void> {
    await writeFile(join(this.dir, path), text);
  }

  /** `chroot ARGS`, at the head of a process group. */
  start(verb: string, ...args: readonly string[]): StartedProgram {
    const argv = [BUNDLE, 'chroot', verb, `--settings=${this.settingsFile}`, ...args];
    const child = execa(process.execPath, argv, {
      ...{ reject: false, detached: true, cleanup: false, stdin: 'ignore', cwd: '/' },
    });
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const pid = child.pid ?? 0;
    return {
      pid,
      ended: child.then(({ exitCode, signal, stdout, stderr: said }) => ({
        ...{ exitCode, signal, stdout, stderr: said },
      })),
      kill: (signal, whom) => kill(whom === 'group' ? -pid : pid, signal),
      stderr: () => stderr,
    };
  }

  run(verb: string, ...args: readonly string[]): Promise<Ended> {
    return this.start(verb, ...args).ended;
  }

  /** @throws with all that it said, when it failed. */
  async succeed(verb: string, ...args: readonly string[]): Promise<Ended> {
    const ended = await this.run(verb, ...args);
    if (ended.exitCode !== 0) throw new Error(`chroot ${verb} ${args.join(' ')}: ${ended.stderr}`);
    return ended;
  }

  async current(name: string): Promise<Chroot> {
    const found = await findChroot(this.stateDir, name);
    if (found === undefined) throw new Error(`There is no current version of ${name}.`);
    return found;
  }

  async versions(name: string): Promise<readonly string[]> {
    return (await readdir(join(this.stateDir, 'chroots', name, 'versions'))).sort();
  }

  /** Paths of a chroot that a build has left. */
  async unfinished(name: string): Promise<readonly string[]> {
    const there = await readdir(join(this.stateDir, 'chroots', name)).catch(() => []);
    return there.filter((entry) => !STAYS.includes(entry));
  }

  /** Of jobs and trials; empty where all is well. */
  async leftOfJobs(): Promise<readonly string[]> {
    const places = ['jobs', 'trash', 'claims'].map(async (place) => {
      const found = await readdir(join(this.stateDir, place)).catch(() => []);
      return found.map((name) => join(place, name));
    });
    return (await Promise.all(places)).flat();
  }

  /** What there is of builds outside the state directory: processes, mounts, what nspawn keeps. */
  async traces(): Promise<readonly string[]> {
    const processes = (await host('ps', '-eo', 'pid,args')).split('\n');
    const own = processes.filter((line) => line.includes(this.dir) || line.includes('nsrb-'));
    const mounts = (await readFile('/proc/1/mountinfo', 'utf8')).split('\n');
    const nspawn = ['propagate', 'unix-export', 'locks'].map(async (kind) => {
      const names = await readdir(join('/run/systemd/nspawn', kind)).catch(() => []);
      return names.filter((name) => name.includes('nsrb-')).map((name) => join(kind, name));
    });
    const left = mounts.filter((line) => line.includes(this.dir) || line.includes('nsrb-'));
    return [...own, ...left, ...(await Promise.all(nspawn)).flat()];
  }

  /** What was not there before the first chroot, beside chroots; empty where all is well. */
  async left(): Promise<readonly string[]> {
    // The trash is swept at its own pace, by processes that name the state directory.
    const ours = async (): Promise<readonly string[]> => [
      ...(await this.leftOfJobs()),
      ...(await this.traces()),
    ];
    const isEmpty = async (): Promise<boolean> => (await ours()).length === 0;
    await waitFor('the sweep', isEmpty, SWEEP_MS).catch(() => undefined);
    return [...(await ours()), ...(await leftSince(this.#before))];
  }

  async dispose(): Promise<void> {
    await host('rm', '--recursive', '--force', '--one-file-system', '--', this.dir);
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
