/** Chroots of a test's own, in a state directory of its own: the debian-12 of the host, and changes to it. */
import { execa } from 'execa';
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { imageSettingsFile, type ImageSettings } from '../../src/chroot/image-settings.ts';
import { findChroot } from '../../src/chroot/store.ts';
import { host, STATE_DIR } from './driver.ts';

export interface MadeChroot {
  readonly name: string;
  readonly version: string;
  readonly path: string;
}

export interface ChrootRequest {
  readonly machine?: Omit<ImageSettings, 'format'>;
  /** Changes the tree. */
  readonly change?: (tree: string) => Promise<unknown>;
}

export class ChrootPlace {
  readonly stateDir: string;
  readonly #layers: string[] = [];
  #versions = 0;

  private constructor(stateDir: string) {
    this.stateDir = stateDir;
  }

  /** Beside the host's own state: an overlay's upper layer cannot be on an overlay. */
  static async create(): Promise<ChrootPlace> {
    return new ChrootPlace(await mkdtemp('/var/lib/chroot-place-'));
  }

  /** For settings.yaml. */
  get settings(): string {
    return `state_dir: ${this.stateDir}\n`;
  }

  /** A version that is current. */
  async add(name: string, request: ChrootRequest = {}): Promise<MadeChroot> {
    const made = await this.addAside(name, request);
    await this.switchTo(made);
    return made;
  }

  /** One that is not current, as one that is still being made. */
  async addAside(name: string, request: ChrootRequest = {}): Promise<MadeChroot> {
    const second = String(this.#versions++).padStart(6, '0');
    const version = `20260101T${second}Z-abcdef`;
    const directory = join(this.stateDir, 'chroots', name, 'versions', version);
    return this.#make(name, version, directory, request);
  }

  async switchTo({ name, version }: MadeChroot): Promise<void> {
    const current = join(this.stateDir, 'chroots', name, 'current');
    await rm(`${current}.new`, { force: true });
    await symlink(`versions/${version}`, `${current}.new`);
    await host('mv', '--no-target-directory', `${current}.new`, current);
  }

  /** Of jobs and what else goes with them; empty where all is well. */
  async leftOfJobs(): Promise<readonly string[]> {
    const places = ['jobs', 'trash', 'claims', 'cache', 'builds'];
    const names = places.map(async (place) => {
      const found = await readdir(join(this.stateDir, place)).catch(() => []);
      return found.map((name) => join(place, name));
    });
    return (await Promise.all(names)).flat();
  }

  async dispose(): Promise<void> {
    for (const tree of this.#layers) await execa('umount', ['--lazy', tree]);
    await host('rm', '--recursive', '--force', '--one-file-system', '--', this.stateDir);
  }

  async #make(
    name: string,
    version: string,
    directory: string,
    { machine, change }: ChrootRequest,
  ): Promise<MadeChroot> {
    const lower = await findChroot(STATE_DIR, 'debian-12');
    if (lower === undefined) throw new Error('The host has no chroot debian-12.');
    const path = join(directory, 'tree');
    const layer = join(this.stateDir, 'layers', `${name}-${version}`);
    const [upper, work] = [join(layer, 'upper'), join(layer, 'work')];
    for (const each of [path, upper, work]) await mkdir(each, { recursive: true });
    const options = `lowerdir=${lower.path},upperdir=${upper},workdir=${work}`;
    await host('mount', '--types=overlay', `--options=${options}`, 'made-chroot', path);
    this.#layers.push(path);
    await change?.(path);
    if (machine !== undefined) {
      await writeFile(imageSettingsFile(path), JSON.stringify({ format: 1, ...machine }));
    }
    return { name, version, path };
  }
}
