/** Debian packages that only tests of some sources need. */
import { execa } from 'execa';

/**
 * Whether these packages are there; a lab host, which is thrown away, gets them. Elsewhere the
 * tests that want them are left out, and say so.
 */
export async function hasSourcePackages(...packages: readonly string[]): Promise<boolean> {
  if (await areInstalled(packages)) return true;
  if (process.env['NSPAWN_RUNNER_TEST_HOST'] === 'lab') {
    const env = { DEBIAN_FRONTEND: 'noninteractive' };
    await execa('apt-get', ['update', '--quiet=2'], { env });
    const options = ['--yes', '--quiet=2', '--no-install-recommends'];
    await execa('apt-get', ['install', ...options, ...packages], { env });
    return true;
  }
  console.warn(`SKIPPED: these tests want the Debian packages ${packages.join(', ')}.`);
  return false;
}

async function areInstalled(packages: readonly string[]): Promise<boolean> {
  const options = ['--show', '--showformat=${db:Status-Status} '];
  const { stdout, exitCode } = await execa('dpkg-query', [...options, ...packages], {
    reject: false,
  });
  const installed = stdout.split(' ').filter((status) => status === 'installed');
  return exitCode === 0 && installed.length === packages.length;
}
