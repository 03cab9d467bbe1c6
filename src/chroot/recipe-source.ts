/** The one source of a recipe, by the names that the inside uses. */
import { SOURCE_KEYS, type RecipeFile } from './recipe-schema.ts';
import type { DebianSource, OciSource, Source, TarSource } from './source.ts';

const KEYRINGS = {
  debian: '/usr/share/keyrings/debian-archive-keyring.gpg',
  ubuntu: '/usr/share/keyrings/ubuntu-archive-keyring.gpg',
  fedora: '/usr/share/distribution-gpg-keys/fedora/RPM-GPG-KEY-fedora-$releasever-primary',
};
const COMPONENTS = { debian: ['main'], ubuntu: ['main', 'universe'] };
/** Of images in files; skopeo(1), "IMAGE NAMES". */
const OCI_FILE = /^(oci|oci-archive|dir|docker-archive):(.+)$/;

/** @param onHost makes a path absolute that is relative to the recipe. */
export function sourceOf(said: RecipeFile, onHost: (path: string) => string): Source {
  if (said.debian !== undefined) return dpkgSource('debian', said.debian);
  if (said.ubuntu !== undefined) return dpkgSource('ubuntu', said.ubuntu);
  if (said.fedora !== undefined) {
    const { release, repositories = [], keyring = KEYRINGS.fedora } = said.fedora;
    return {
      kind: 'fedora',
      release,
      keyring,
      repositories: repositories.map(({ id, baseurl, metalink, gpgkey }) => ({
        id,
        baseurl,
        metalink,
        gpgkey: gpgkey === 'none' ? undefined : gpgkey,
      })),
    };
  }
  if (said.tar !== undefined) return tarSource(said.tar, onHost);
  if (said.oci !== undefined) return ociSource(said.oci, onHost);
  if (said.extends !== undefined) return { kind: 'extends', parent: said.extends };
  throw new Error(`A recipe without one of ${SOURCE_KEYS.join(', ')} came through the schema.`);
}

function dpkgSource(
  distribution: 'debian' | 'ubuntu',
  said: NonNullable<RecipeFile['debian']>,
): DebianSource {
  return {
    kind: 'debian',
    distribution,
    suite: said.suite,
    mirror: said.mirror,
    securityMirror: said.security_mirror,
    components: said.components ?? COMPONENTS[distribution],
    keyring: said.keyring ?? KEYRINGS[distribution],
    extraSources: said.extra_sources,
    aptOptions: said.apt_options ?? [],
    tool: said.tool ?? 'auto',
  };
}

function tarSource(
  said: NonNullable<RecipeFile['tar']>,
  onHost: (path: string) => string,
): TarSource {
  const located = (place: string): string => (isUrl(place) ? place : onHost(place));
  return {
    kind: 'tar',
    location: located(said.location),
    sha256: said.sha256?.toLowerCase(),
    signature: said.signature === undefined ? undefined : located(said.signature),
    keyring: said.keyring,
    stripComponents: said.strip_components ?? 0,
  };
}

function ociSource(
  said: NonNullable<RecipeFile['oci']>,
  onHost: (path: string) => string,
): OciSource {
  const { image, digest, auth_file: authFile, tls_verify: tlsVerify = true } = said;
  const [, transport, path] = OCI_FILE.exec(image) ?? [];
  const inRegistry = image.startsWith('docker://') ? image : `docker://${image}`;
  return {
    kind: 'oci',
    image: path === undefined ? inRegistry : `${transport}:${onHost(path)}`,
    digest,
    authFile,
    tlsVerify,
  };
}

export function isUrl(place: string): boolean {
  return /^[a-z]+:\/\//.test(place);
}
