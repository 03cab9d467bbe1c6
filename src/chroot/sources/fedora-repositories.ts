/** yum repositories, dnf.conf(5) "REPO OPTIONS": where a Fedora-like tree is installed from. */
import { machine } from 'node:os';
import type { FedoraSource, RpmRepository } from '../source.ts';

const METALINK = 'https://mirrors.fedoraproject.org/metalink?arch=$basearch&repo=';
/** Fedora's own: the release and its updates. */
const FEDORA = [
  { id: 'fedora', repo: 'fedora-$releasever' },
  { id: 'updates', repo: 'updates-released-f$releasever' },
];

/** The recipe's, else Fedora's own; names of the release and the architecture filled in. */
export function repositoriesOf(source: FedoraSource): readonly RpmRepository[] {
  const { release, keyring } = source;
  const own = FEDORA.map(({ id, repo }) => ({
    id,
    baseurl: undefined,
    metalink: METALINK + repo,
    gpgkey: keyring,
  }));
  const repositories = source.repositories.length === 0 ? own : source.repositories;
  return repositories.map(({ id, baseurl, metalink, gpgkey }) => ({
    id,
    baseurl: filledIn(baseurl, release),
    metalink: filledIn(metalink, release),
    gpgkey: filledIn(gpgkey, release),
  }));
}

/** dnf would do it too, and not for who looks whether a key is there. */
function filledIn(text: string | undefined, release: string): string | undefined {
  return text?.replaceAll('$releasever', release).replaceAll('$basearch', machine());
}

/** The content of a .repo file. */
export function repoFile(repositories: readonly RpmRepository[]): string {
  return repositories.map(section).join('\n');
}

function section({ id, baseurl, metalink, gpgkey }: RpmRepository): string {
  const lines = [
    `[${id}]`,
    `name=${id}`,
    ...(baseurl === undefined ? [] : [`baseurl=${baseurl}`]),
    ...(metalink === undefined ? [] : [`metalink=${metalink}`]),
    'enabled=1',
    ...(gpgkey === undefined
      ? ['gpgcheck=0']
      : ['gpgcheck=1', `gpgkey=${gpgkey.startsWith('/') ? `file://${gpgkey}` : gpgkey}`]),
  ];
  return `${lines.join('\n')}\n`;
}
