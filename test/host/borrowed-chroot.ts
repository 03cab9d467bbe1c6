/** The host's own trees in a state directory of a test's own, read and never changed. */
import { mkdir, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { findChroot } from '../../src/chroot/store.ts';
import { STATE_DIR } from './driver.ts';

/** Its directory is the test's, for locks; its one version is the host's current one. */
export async function borrowChroot(stateDir: string, name: string): Promise<void> {
  const chroot = await findChroot(STATE_DIR, name);
  if (chroot === undefined) throw new Error(`The host has no chroot ${name}.`);
  const at = join(stateDir, 'chroots', name);
  await mkdir(join(at, 'versions'), { recursive: true });
  await symlink(dirname(chroot.path), join(at, 'versions', chroot.version));
  await symlink(`versions/${chroot.version}`, join(at, 'current'));
}
