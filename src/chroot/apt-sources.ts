/** sources.list(5), deb822: where a Debian tree gets its packages, at its making and in jobs. */
import type { DebianSource } from './recipe.ts';

const MIRROR = 'http://deb.debian.org/debian';
const SECURITY_MIRROR = 'http://deb.debian.org/debian-security';
/** Suites that packages move through: Debian has neither updates nor security of them. */
const ROLLING = new Set(['sid', 'unstable', 'experimental', 'rc-buggy']);

/** The mirror that holds: the recipe's, else the operator's, else Debian's. */
export function mirrorOf(debian: DebianSource, operatorMirror: string | undefined): string {
  return (debian.mirror ?? operatorMirror ?? MIRROR).replace(/\/+$/, '');
}

/** The content of debian.sources. */
export function aptSources(debian: DebianSource, operatorMirror: string | undefined): string {
  const { suite, keyring } = debian;
  const mirror = mirrorOf(debian, operatorMirror);
  const components = debian.components.join(' ');
  const paragraph = (uri: string, suites: string): string =>
    `Types: deb\nURIs: ${uri}\nSuites: ${suites}\nComponents: ${components}\nSigned-By: ${keyring}\n`;
  const paragraphs = ROLLING.has(suite)
    ? [paragraph(mirror, suite)]
    : [paragraph(mirror, `${suite} ${suite}-updates`)];
  if (!ROLLING.has(suite) && debian.securityMirror !== 'none') {
    paragraphs.push(
      paragraph(debian.securityMirror ?? securityBeside(mirror), `${suite}-security`),
    );
  }
  if (debian.extraSources !== undefined) paragraphs.push(`${debian.extraSources.trim()}\n`);
  return paragraphs.join('\n');
}

/** Full mirrors carry both archives side by side, as deb.debian.org does. */
function securityBeside(mirror: string): string {
  return mirror.endsWith('/debian') ? `${mirror}-security` : SECURITY_MIRROR;
}
