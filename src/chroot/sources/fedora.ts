/** Fedora and what is made like it: packages of rpm repositories, by dnf with an installroot. */
import { access, lstat, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { HostError } from '../../errors.ts';
import type { ConfinedRun } from '../../tools/confined.ts';
import { findDnf, installWithDnf } from '../../tools/dnf.ts';
import { makeCharacterDevice } from '../../tools/mknod.ts';
import { removeTree } from '../../tools/rm.ts';
import { toolVersion } from '../../tools/version.ts';
import type { MadeSource, SourceSite } from '../source-tree.ts';
import type { FedoraSource, RpmRepository } from '../source.ts';
import { resolveInTree } from '../tree-path.ts';
import { withoutCredentials } from './fetched-file.ts';
import { repoFile, repositoriesOf } from './fedora-repositories.ts';

/** A repository that cannot be read fails the build, instead of leaving its packages out. */
const DNF_CONF = '[main]\ngpgcheck=True\nskip_if_unavailable=False\nkeepcache=False\n';
/** What every other package needs. */
const FIRST_PACKAGE = 'filesystem';
/** Scriptlets write to /dev/null; systemd-nspawn covers the directory with its own. */
const DEVICES = [
  ['null', [1, 3]],
  ['zero', [1, 5]],
  ['full', [1, 7]],
  ['random', [1, 8]],
  ['urandom', [1, 9]],
] as const;
const CACHES = ['/var/cache/dnf', '/var/cache/libdnf5'];
const LOG = /^(?:dnf|dnf5|hawkey)(?:\.[a-z]+)*\.log$/;

/** The tree with its packages; where jobs find more is what the packages themselves bring. */
export async function makeFedoraTree(source: FedoraSource, site: SourceSite): Promise<MadeSource> {
  const { tree, how } = site;
  const dnf = await findDnf();
  if (dnf === undefined) {
    throw new HostError('"dnf", which makes Fedora trees, is not installed on this host.', {
      hint: 'Install package dnf; dnf5 will do too.',
    });
  }
  const repositories = repositoriesOf(source);
  await requireKeys(repositories);
  site.step(`installing Fedora ${source.release}`);
  await makeDevices(tree, how);
  const homeDir = await writeRpmMacros(site.tempDir, source.release);
  const config = await writeConfiguration(site.tempDir, repositories);
  const packages = site.packages.length === 0 ? [FIRST_PACKAGE] : site.packages;
  const install = { tree, release: source.release, ...config, packages };
  await installWithDnf(dnf, install, { ...how, homeDir });
  await removeTraces(tree);
  const places = repositories.map(({ baseurl, metalink }) => baseurl ?? metalink ?? '');
  // Not dnf's own version: to tell it, dnf 4 writes logs and a database of packages on this host.
  const rpm = await toolVersion('rpm');
  const facts = {
    release: source.release,
    repositories: places.map(withoutCredentials).join(' '),
    tool: [basename(dnf), ...(rpm === undefined ? [] : [rpm])].join(', '),
  };
  return { facts, packagesInstalled: true };
}

/** @throws HostError for the first that this host does not have. */
async function requireKeys(repositories: readonly RpmRepository[]): Promise<void> {
  for (const { id, gpgkey } of repositories) {
    if (gpgkey?.startsWith('/') !== true) continue;
    await access(gpgkey).catch((cause: unknown) => {
      throw new HostError(`Key "${gpgkey}" of repository "${id}" is not on this host.`, {
        hint: 'Install distribution-gpg-keys, or name the key in the recipe.',
        cause,
      });
    });
  }
}

async function makeDevices(tree: string, how: ConfinedRun): Promise<void> {
  for (const name of ['dev', 'proc']) await mkdir(join(tree, name), { mode: 0o755 });
  for (const [name, numbers] of DEVICES) {
    await makeCharacterDevice(join(tree, 'dev', name), numbers, how);
  }
}

/** Where the tree's own rpm looks for its database, whatever the rpm of this host does. */
export function rpmDatabase(release: string): string {
  const number = Number.parseInt(release, 10);
  // Fedora 36 "RelocateRPMToUsr", and Enterprise Linux 10 after it.
  const isOld = number < 10 || (number > 10 && number < 36);
  return isOld ? '/var/lib/rpm' : '/usr/lib/sysimage/rpm';
}

async function writeRpmMacros(tempDir: string, release: string): Promise<string> {
  const homeDir = join(tempDir, 'rpm-home');
  await mkdir(homeDir, { mode: 0o700 });
  await writeFile(join(homeDir, '.rpmmacros'), `%_dbpath ${rpmDatabase(release)}\n`);
  return homeDir;
}

interface Configuration {
  readonly configFile: string;
  readonly reposDir: string;
  readonly varsDir: string;
}

async function writeConfiguration(
  tempDir: string,
  repositories: readonly RpmRepository[],
): Promise<Configuration> {
  const configFile = join(tempDir, 'dnf.conf');
  const reposDir = join(tempDir, 'repositories');
  const varsDir = join(tempDir, 'dnf-variables');
  await mkdir(reposDir, { mode: 0o700 });
  await mkdir(varsDir, { mode: 0o700 });
  await writeFile(configFile, DNF_CONF);
  await writeFile(join(reposDir, 'recipe.repo'), repoFile(repositories), { mode: 0o600 });
  return { configFile, reposDir, varsDir };
}

async function removeTraces(tree: string): Promise<void> {
  for (const path of CACHES) await removeTree(await resolveInTree(tree, path));
  const logs = await resolveInTree(tree, '/var/log');
  for (const name of await readdir(logs).catch(() => [])) {
    const path = join(logs, name);
    if (LOG.test(name) && (await lstat(path)).isFile()) await rm(path);
  }
}
