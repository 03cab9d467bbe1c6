/** Whether files can share blocks, which only trying tells: ioctl_ficlone(2). */
import { constants, copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** btrfs keeps what is small beside its name, where nothing is shared. */
const PROBE_BYTES = 4096;

/** Makes two small files in the directory, and removes them. */
export async function canReflink(directory: string): Promise<boolean> {
  const probe = await mkdtemp(join(directory, '.reflink-'));
  try {
    const [from, to] = [join(probe, 'from'), join(probe, 'to')];
    await writeFile(from, Buffer.alloc(PROBE_BYTES, 1));
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTSUP' || code === 'EOPNOTSUPP' || code === 'ENOSYS') return false;
    if (code === 'EINVAL' || code === 'EXDEV' || code === 'ENOTTY') return false;
    throw error;
  } finally {
    await rm(probe, { recursive: true });
  }
}
