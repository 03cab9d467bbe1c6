/** Device nodes that a tree may have, since debootstrap and mmdebstrap make them; nspawn covers them. */

/** mem(4), tty(4), console(4), pts(4): character devices by number. */
const STANDARD = new Map([
  ['/dev/null', '1:3'],
  ['/dev/zero', '1:5'],
  ['/dev/full', '1:7'],
  ['/dev/random', '1:8'],
  ['/dev/urandom', '1:9'],
  ['/dev/tty', '5:0'],
  ['/dev/console', '5:1'],
  ['/dev/ptmx', '5:2'],
]);

/** By its path in the tree, and its numbers where they are known. */
export function isStandardDevice(path: string, device?: string): boolean {
  const expected = STANDARD.get(path);
  return expected !== undefined && (device === undefined || device === expected);
}
