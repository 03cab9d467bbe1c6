/** Debian and Ubuntu: from a mirror, by mmdebstrap, or by debootstrap where that is what there is. */
import { access, chmod, copyFile, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HostError } from '../../errors.ts';
import { debootstrap } from '../../tools/debootstrap.ts';
import { findProgram } from '../../tools/find-program.ts';
import { bootstrap } from '../../tools/mmdebstrap.ts';
import { toolVersion } from '../../tools/version.ts';
import { aptSources, keyringsOf, mirrorOf } from '../apt-sources.ts';
import { buildMachine } from '../build-command.ts';
import { withoutServices } from '../no-services.ts';
import { packageManagerOf, runAll } from '../package-manager.ts';
import type { MadeSource, SourceSite } from '../source-tree.ts';
import type { DebianSource } from '../source.ts';
import { directoryInTree, existsInTree, placeInTree, resolveInTree } from '../tree-path.ts';
import { withoutCredentials } from './fetched-file.ts';

type Tool = 'mmdebstrap' | 'debootstrap';

const NAMES = { debian: 'Debian', ubuntu: 'Ubuntu' } as const;
const KEYRING_PACKAGES = { debian: 'debian-archive-keyring', ubuntu: 'ubuntu-keyring' } as const;
const APT_OPTIONS_FILE = '/etc/apt/apt.conf.d/99nspawn-runner';
/** The tree with its packages, its sources and their keyrings. */
export async function makeDebianTree(source: DebianSource, site: SourceSite): Promise<MadeSource> {
  const { distribution, suite, tool: wanted } = source;
  const sources = aptSources(source, site.aptMirror);
  await requireKeyrings(source, keyringsOf(sources));
  const tool = await chooseTool(wanted);
  site.step(`installing ${NAMES[distribution]} ${suite}`);
  await (tool === 'mmdebstrap' ? byMmdebstrap : byDebootstrap)(source, site, sources);
  await keepSources(source, site.tree, sources);
  const facts = {
    distribution,
    suite,
    mirror: withoutCredentials(mirrorOf(source, site.aptMirror)),
    tool: (await toolVersion(tool)) ?? tool,
  };
  return { facts, packagesInstalled: true };
}

/** @throws HostError for the first that this host does not have. */
async function requireKeyrings(source: DebianSource, keyrings: readonly string[]): Promise<void> {
  for (const keyring of keyrings) {
    await access(keyring).catch((cause: unknown) => {
      const where =
        keyring === source.keyring
          ? `Install ${KEYRING_PACKAGES[source.distribution]}, or name the keyring of your mirror in the recipe.`
          : 'Put it there, or correct "Signed-By" in the recipe\'s extra_sources.';
      throw new HostError(`Keyring "${keyring}" is not on this host.`, { hint: where, cause });
    });
  }
}

/** @throws HostError when this host has none that will do. */
async function chooseTool(wanted: DebianSource['tool']): Promise<Tool> {
  const candidates: readonly Tool[] = wanted === 'auto' ? ['mmdebstrap', 'debootstrap'] : [wanted];
  for (const tool of candidates) {
    if ((await findProgram(tool)) !== undefined) return tool;
  }
  const [first] = candidates;
  throw new HostError(`"${first ?? ''}" is not installed on this host.`, {
    hint:
      wanted === 'auto'
        ? 'Install package mmdebstrap; debootstrap will do too.'
        : `Install package ${wanted}, or leave "tool" out of the recipe.`,
  });
}

async function byMmdebstrap(
  { suite, aptOptions }: DebianSource,
  { tree, tempDir, packages, how }: SourceSite,
  sources: string,
): Promise<void> {
  const sourcesFile = join(tempDir, 'sources.sources');
  await writeFile(sourcesFile, sources);
  await bootstrap({ suite, target: tree, sourcesFile, packages, aptOptions }, tempDir, how);
  const apt = await packageManagerOf(tree);
  const command = { tree, machine: buildMachine(dirname(tempDir)) };
  await runAll(apt?.hold(packages) ?? [], { command, how });
}

/** debootstrap knows one suite of one mirror; the tree's own apt does the rest. */
async function byDebootstrap(
  source: DebianSource,
  site: SourceSite,
  sources: string,
): Promise<void> {
  const { suite, components, keyring, distribution } = source;
  const { tree, tempDir, aptMirror, packages, how } = site;
  const mirror = mirrorOf(source, aptMirror);
  await debootstrap({ suite, target: tree, mirror, components, keyring }, distribution, how);
  await keepSources(source, tree, sources);
  if (source.aptOptions.length > 0) {
    const lines = source.aptOptions.map((option) => `${option.replace(/;*$/, ';')}\n`);
    await writeFile(await placeInTree(tree, APT_OPTIONS_FILE), lines.join(''));
  }
  const apt = await packageManagerOf(tree);
  if (apt === undefined) throw new Error(`debootstrap left "${tree}" without apt.`);
  const command = { tree, machine: buildMachine(dirname(tempDir)) };
  await withoutServices(tree, async () => {
    await runAll(apt.upgrade, { command, how });
    if (packages.length > 0) {
      site.step(`installing ${packages.length} packages`);
      await runAll(apt.install(packages), { command, how });
    }
    await runAll(apt.clean, { command, how });
  });
}

/** The tool's name for the file depends on its version; in the tree it has the distribution's. */
async function keepSources(
  { distribution }: DebianSource,
  tree: string,
  sources: string,
): Promise<void> {
  const dir = await directoryInTree(tree, '/etc/apt/sources.list.d');
  for (const name of await readdir(dir)) await rm(join(dir, name));
  await rm(await resolveInTree(tree, '/etc/apt/sources.list'), { force: true });
  await writeFile(join(dir, `${distribution}.sources`), sources);
  // apt reads Signed-By= at the same path in a machine as on this host.
  for (const keyring of keyringsOf(sources)) {
    if (await existsInTree(tree, keyring)) continue;
    const place = await placeInTree(tree, keyring);
    await copyFile(keyring, place);
    await chmod(place, 0o644);
  }
}
