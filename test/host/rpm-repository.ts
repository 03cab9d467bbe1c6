/** A yum repository of three tiny packages, signed, so that no Fedora is wanted. */
import { execa } from 'execa';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface RpmRepositoryFiles {
  readonly baseurl: string;
  /** Armored: what the packages are signed with. */
  readonly key: string;
}

/** What a scriptlet finds in the tree is written down by it. */
const SCRIPTLET = `%post -p <lua>
local proc = io.open('/proc/self/status')
local null = io.open('/dev/null', 'w')
local seen = io.open('/etc/seen', 'w')
seen:write(proc and 'proc' or 'no proc', ' ', null and 'null' or 'no null')
seen:close()
`;
const DIRECTORIES = ['/dev', '/etc', '/proc', '/usr', '/usr/bin', '/var'];

/** `tool` requires `filesystem` and recommends `extra`. */
export async function makeRpmRepository(dir: string): Promise<RpmRepositoryFiles> {
  const repository = join(dir, 'repository');
  await mkdir(repository, { recursive: true });
  const directories = DIRECTORIES.map((path) => `%dir %attr(555, root, root) ${path}\n`).join('');
  await build(dir, 'filesystem', { files: directories, more: SCRIPTLET });
  await build(dir, 'tool', {
    tags: 'Requires: filesystem\nRecommends: extra\n',
    install: 'echo tool >%{buildroot}/usr/bin/tool\n',
    files: '%attr(4755, root, root) /usr/bin/tool\n',
  });
  await build(dir, 'extra', { tags: 'Requires: filesystem\n' });
  const key = await sign(dir, repository);
  await execa('createrepo_c', ['--quiet', repository]);
  return { baseurl: `file://${repository}`, key };
}

interface Parts {
  readonly tags?: string;
  readonly install?: string;
  readonly files?: string;
  readonly more?: string;
}

async function build(dir: string, name: string, parts: Parts): Promise<void> {
  const spec = join(dir, `${name}.spec`);
  const { tags = '', install = '', files = '', more = '' } = parts;
  await writeFile(
    spec,
    `Name: ${name}
Version: 1
Release: 1
Summary: for a test
License: MIT
BuildArch: noarch
${tags}%description
For a test.
%install
mkdir -p ${DIRECTORIES.map((path) => `%{buildroot}${path}`).join(' ')}
${install}${more}%files
${files}`,
  );
  const defines = [`_topdir ${join(dir, 'rpmbuild')}`, `_rpmdir ${join(dir, 'repository')}`];
  // Debian's rpm keeps a database of packages in the home directory.
  const env = { HOME: dir };
  await execa('rpmbuild', ['-bb', ...defines.map((define) => `--define=${define}`), spec], { env });
}

async function sign(dir: string, repository: string): Promise<string> {
  const home = join(dir, 'gnupg');
  await mkdir(home, { mode: 0o700 });
  const gpg = (...args: string[]) => execa('gpg', [`--homedir=${home}`, '--batch', ...args]);
  const user = 'packager@example.com';
  await gpg('--passphrase=', '--quick-generate-key', user, 'rsa2048', 'sign', 'never');
  const key = join(dir, 'key.asc');
  await gpg('--armor', `--output=${key}`, '--export');
  const packages = ['filesystem', 'tool', 'extra'].map((name) =>
    join(repository, 'noarch', `${name}-1-1.noarch.rpm`),
  );
  // Debian's rpm does not know where gpg is.
  const defines = [`--define=_gpg_name ${user}`, '--define=__gpg /usr/bin/gpg'];
  await execa('rpmsign', ['--addsign', ...defines, ...packages], {
    env: { GNUPGHOME: home, HOME: dir },
  });
  return key;
}
