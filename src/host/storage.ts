/** Whether the state directory can hold base trees and overlays; pure. */
import { failing, ok, warning, type Finding } from './finding.ts';

const GIB = 1024 ** 3;
const FREE_MIN = 2 * GIB;
const OTHERS = 0o007;

/** statfs(2), f_type. */
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  0xef53: 'ext4',
  0x58465342: 'xfs',
  0x9123683e: 'btrfs',
  0x01021994: 'tmpfs',
  0x2fc12fc1: 'zfs',
  0xf2f52010: 'f2fs',
  0xca451a4e: 'bcachefs',
  0x794c7630: 'overlay',
  0x6969: 'nfs',
  0xff534d42: 'cifs',
  0xfe534d42: 'smb2',
  0x65735546: 'fuse',
  0x4d44: 'vfat',
};
/** These cannot be an overlay's upperdir (docs.kernel.org, overlayfs, "Upper and Lower"). */
const UNFIT = new Set(['overlay', 'nfs', 'cifs', 'smb2', 'fuse', 'vfat']);

export interface StateDirectory {
  readonly path: string;
  /** Undefined when it is not there. */
  readonly mode: number | undefined;
  /** Of the directory, or of the nearest one above that is there. */
  readonly fileSystem: string;
  readonly freeBytes: number;
  /** What mount(8) said to an overlay there: undefined for no trial, empty for a success. */
  readonly overlay: string | undefined;
}

/** The name of a file system's type; its number in hexadecimal where we know none. */
export function fileSystemName(type: number): string {
  return FILE_SYSTEMS[type] ?? `0x${type.toString(16)}`;
}

export function judgeStateDirectory(state: StateDirectory): Finding[] {
  return [presence(state), ...overlay(state), space(state)];
}

function presence({ path, mode }: StateDirectory): Finding {
  if (mode === undefined) {
    return warning(
      'state directory',
      `${path} is not there yet`,
      'Run scripts/install, or let `nspawn-runner chroot create` make it.',
    );
  }
  return (mode & OTHERS) === 0
    ? ok('state directory', path)
    : warning(
        'state directory',
        `${path} is open to other users, who reach the set-user-ID programs in the base trees`,
        `chmod 0700 ${path}`,
      );
}

function overlay({ path, fileSystem, overlay: said }: StateDirectory): Finding[] {
  const elsewhere = 'Put state_dir in the settings on a file system such as ext4, xfs or btrfs.';
  if (said !== undefined && said !== '') {
    return [failing('overlay', `cannot be mounted in ${path} (${fileSystem}): ${said}`, elsewhere)];
  }
  if (said === undefined && UNFIT.has(fileSystem)) {
    return [failing('overlay', `${path} is on ${fileSystem}, which cannot hold one`, elsewhere)];
  }
  if (fileSystem === 'tmpfs') {
    return [
      warning(
        'overlay',
        `${path} is on tmpfs: what jobs write takes memory, and a reboot empties it`,
        elsewhere,
      ),
    ];
  }
  return said === undefined ? [] : [ok('overlay', `works on ${fileSystem}`)];
}

function space({ path, freeBytes }: StateDirectory): Finding {
  const free = `${(freeBytes / GIB).toFixed(1)} GiB free`;
  return freeBytes >= FREE_MIN
    ? ok('disk space', free)
    : warning(
        'disk space',
        `${free} in ${path}; a base tree takes about 0.3 GiB, and every job writes there`,
        'Make room, or put state_dir in the settings on a larger file system.',
      );
}
