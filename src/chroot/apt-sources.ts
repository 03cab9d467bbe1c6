/** sources.list(5), deb822: where a Debian or Ubuntu tree gets its packages, at its making and in jobs. */
import type { DebianSource } from './source.ts';

const MIRRORS = {
  debian: {
    archive: 'http://deb.debian.org/debian',
    security: 'http://deb.debian.org/debian-security',
  },
  ubuntu: {
    archive: 'http://archive.ubuntu.com/ubuntu',
    security: 'http://security.ubuntu.com/ubuntu',
  },
} as const;
/** Suites that packages move through: Debian has neither updates nor security of them. */
const ROLLING = new Set(['sid', 'unstable', 'experimental', 'rc-buggy']);

/** The mirror that holds: the recipe's, else for Debian the operator's, else the distribution's. */
export function mirrorOf(source: DebianSource, operatorMirror: string | undefined): string {
  const { distribution, mirror } = source;
  const operators = distribution === 'debian' ? operatorMirror : undefined;
  return (mirror ?? operators ?? MIRRORS[distribution].archive).replace(/\/+$/, '');
}

/** The content of debian.sources or ubuntu.sources. */
export function aptSources(source: DebianSource, operatorMirror: string | undefined): string {
  const { suite, keyring } = source;
  const mirror = mirrorOf(source, operatorMirror);
  const components = source.components.join(' ');
  const paragraph = (uri: string, suites: string): string =>
    `Types: deb\nURIs: ${uri}\nSuites: ${suites}\nComponents: ${components}\nSigned-By: ${keyring}\n`;
  const paragraphs = ROLLING.has(suite)
    ? [paragraph(mirror, suite)]
    : [paragraph(mirror, `${suite} ${suite}-updates`)];
  if (!ROLLING.has(suite) && source.securityMirror !== 'none') {
    const security = source.securityMirror ?? securityBeside(source, mirror);
    paragraphs.push(paragraph(security, `${suite}-security`));
  }
  if (source.extraSources !== undefined) paragraphs.push(`${source.extraSources.trim()}\n`);
  return paragraphs.join('\n');
}

/**
 * Full mirrors of Debian carry both archives side by side, as deb.debian.org does; Ubuntu's security
 * updates are suites of the one archive.
 */
function securityBeside({ distribution }: DebianSource, mirror: string): string {
  const { archive, security } = MIRRORS[distribution];
  if (distribution === 'ubuntu') return mirror === archive ? security : mirror;
  return mirror.endsWith('/debian') ? `${mirror}-security` : security;
}

/** Paths that `Signed-By:` names; an embedded key begins on the line after it. */
export function keyringsOf(sources: string): readonly string[] {
  const named = [...sources.matchAll(/^Signed-By:[ \t]*(.*)$/gim)].flatMap(([, value = '']) =>
    value.split(/[\s,]+/).filter((word) => word.startsWith('/')),
  );
  return [...new Set(named)];
}

/** Where the Release files of all suites are; a suite that ends in "/" is a path of its own. */
export function releaseDirectories(sources: string): readonly string[] {
  const paragraphs = sources.split(/\n[ \t]*\n/);
  const found = paragraphs.flatMap((paragraph) => {
    if (fieldOf(paragraph, 'Enabled').some((word) => /^(?:no|false|0)$/i.test(word))) return [];
    return fieldOf(paragraph, 'URIs').flatMap((uri) =>
      fieldOf(paragraph, 'Suites').map((suite) => releaseDirectory(uri.replace(/\/+$/, ''), suite)),
    );
  });
  return [...new Set(found)];
}

function releaseDirectory(uri: string, suite: string): string {
  if (!suite.endsWith('/')) return `${uri}/dists/${suite}`;
  const path = suite.replace(/^(?:\.?\/+)+/, '').replace(/\/+$/, '');
  return path === '' ? uri : `${uri}/${path}`;
}

/** The words of a field, its continuation lines too; comments are none. */
function fieldOf(paragraph: string, name: string): readonly string[] {
  const text = paragraph.replaceAll(/^#.*\n?/gm, '');
  const value = new RegExp(`^${name}:(.*(?:\\n[ \\t].*)*)`, 'im').exec(text)?.[1] ?? '';
  return value.split(/\s+/).filter((word) => word !== '');
}
