/** What jobs can ask for; pure. */
import { failing, ok, warning, type Finding } from './finding.ts';

export interface Images {
  /** Names of the chroots that jobs can use. */
  readonly chroots: readonly string[];
  /** Image → chroot, of the settings. */
  readonly images: Readonly<Record<string, string>>;
  /** Why the default image of the settings leads to no chroot; undefined when it does, or there is none. */
  readonly defaultProblem: string | undefined;
}

export function judgeImages({ chroots, images, defaultProblem }: Images): Finding[] {
  const findings = [
    chroots.length === 0
      ? failing('chroots', 'none', '`nspawn-runner chroot create debian-12` makes one.')
      : ok('chroots', chroots.join(', ')),
  ];
  if (chroots.length === 0) return findings;
  const missing = Object.entries(images).filter(([, chroot]) => !chroots.includes(chroot));
  for (const [image, chroot] of missing) {
    findings.push(
      warning(
        'images',
        `the settings map "${image}" to the chroot "${chroot}", which is not there`,
        `\`nspawn-runner chroot create ${chroot}\`, or correct \`images\` in the settings.`,
      ),
    );
  }
  if (defaultProblem !== undefined) {
    findings.push(
      warning('default_image', defaultProblem, 'Correct `default_image` in the settings.'),
    );
  }
  return findings;
}

export interface Bootstraps {
  /** What each says of itself; undefined where it is not installed. */
  readonly mmdebstrap: string | undefined;
  readonly debootstrap: string | undefined;
}

/** Whether recipes of Debian and Ubuntu can be built here: one of the two will do. */
export function judgeBootstraps({ mmdebstrap, debootstrap }: Bootstraps): Finding {
  if (mmdebstrap !== undefined) {
    return ok('mmdebstrap', mmdebstrap.replace(/^mmdebstrap\s+/, ''));
  }
  if (debootstrap !== undefined) {
    return ok('debootstrap', debootstrap.replace(/^debootstrap\s+/, ''));
  }
  return warning(
    'mmdebstrap',
    'neither mmdebstrap nor debootstrap is installed: `debian` and `ubuntu` recipes need one of them',
    'Install the package mmdebstrap (`apt-get install mmdebstrap`).',
  );
}
