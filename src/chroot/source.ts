/** Where the first tree of a chroot comes from: what a recipe says of it. */

export interface DebianSource {
  readonly kind: 'debian';
  readonly distribution: 'debian' | 'ubuntu';
  readonly suite: string;
  /** Undefined takes the operator's mirror for Debian, else the distribution's own. */
  readonly mirror: string | undefined;
  /** Undefined takes the one beside the mirror; `none` leaves security updates out. */
  readonly securityMirror: string | undefined;
  readonly components: readonly string[];
  /** On this host; the same path in the tree. */
  readonly keyring: string;
  /** deb822 paragraphs, sources.list(5). */
  readonly extraSources: string | undefined;
  /** apt.conf(5); they stay in the tree. */
  readonly aptOptions: readonly string[];
  /** `auto` is mmdebstrap where this host has it, else debootstrap. */
  readonly tool: 'auto' | 'mmdebstrap' | 'debootstrap';
}

export interface RpmRepository {
  /** Letters, digits and hyphens: the section of its .repo file. */
  readonly id: string;
  /** One of the two is there. */
  readonly baseurl: string | undefined;
  readonly metalink: string | undefined;
  /** URL or absolute path on this host; undefined leaves packages unchecked, which the recipe must say. */
  readonly gpgkey: string | undefined;
}

export interface FedoraSource {
  readonly kind: 'fedora';
  readonly release: string;
  /** Empty takes Fedora's own, with the keys in `keyring`. */
  readonly repositories: readonly RpmRepository[];
  /** On this host: the keys of Fedora's own repositories. */
  readonly keyring: string;
}

export interface TarSource {
  readonly kind: 'tar';
  /** Absolute path on this host, or a URL of http, https or file. */
  readonly location: string;
  /** Of the archive, hexadecimal, lower case; always there for a URL without a signature. */
  readonly sha256: string | undefined;
  /** Path or URL of a detached signature, checked with `keyring`. */
  readonly signature: string | undefined;
  readonly keyring: string | undefined;
  readonly stripComponents: number;
}

export interface OciSource {
  readonly kind: 'oci';
  /** As skopeo(1) names images: `docker://debian:bookworm`, `oci:/srv/layout:tag`. */
  readonly image: string;
  /** `sha256:…`: only this image will do. */
  readonly digest: string | undefined;
  /** containers-auth.json(5) on this host. */
  readonly authFile: string | undefined;
  /** False for a registry without good TLS. */
  readonly tlsVerify: boolean;
}

export interface ParentSource {
  readonly kind: 'extends';
  /** The chroot whose current version is copied. */
  readonly parent: string;
}

export type Source = DebianSource | FedoraSource | TarSource | OciSource | ParentSource;
