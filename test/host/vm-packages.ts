/** Debian packages that only the tests of virtual machines need. */
import { execa } from 'execa';

/**
 * Whether these packages are there; a lab host, which is thrown away, gets them. Elsewhere the
 * tests that want them are left out, and say so.
 */
export async function hasVmPackages(...packages: readonly string[]): Promise<boolean> {
  if (await areInstalled(packages)) return true;
  if (process.env['NSPAWN_RUNNER_TEST_HOST'] === 'lab') {
    const env = { DEBIAN_FRONTEND: 'noninteractive' };
    await execa('apt-get', ['update', '--quiet=2'], { env });
    await execa(
      'apt-get',
      ['install', '--yes', '--quiet=2', '--no-install-recommends', ...packages],
      { env },
    );
    return true;
  }
  console.warn(`SKIPPED: these tests want the Debian packages ${packages.join(', ')}.`);
  return false;
}

async function areInstalled(packages: readonly string[]): Promise<boolean> {
  const { stdout, exitCode } = await execa(
    'dpkg-query',
    ['--show', '--showformat=${db:Status-Status} ', ...packages],
    { reject: false },
  );
  return (
    exitCode === 0 && stdout.split(' ').filter((s) => s === 'installed').length === packages.length
  );
}
