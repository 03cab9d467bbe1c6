import { expect, it } from 'vitest';
import { mountsBelow } from '../../../src/tools/mount.ts';

// From Linux 6.18; one mount point has a blank in it.
const mountinfo = String.raw`21 1 254:0 / / rw,relatime - ext4 /dev/vda rw
22 21 0:20 / /proc rw,relatime - proc proc rw
30 21 0:31 / /s/build/tree/proc rw,relatime shared:3 - proc proc rw
31 21 0:32 / /s/build/tree/with\040blank rw,relatime - tmpfs tmpfs rw
32 21 0:33 / /s/building rw,relatime - tmpfs tmpfs rw
`;

it.each([
  ['/s/build', ['/s/build/tree/proc', '/s/build/tree/with blank']],
  ['/s/build/tree/proc', ['/s/build/tree/proc']],
  ['/s/buil', []],
  ['/s/building', ['/s/building']],
  ['/proc/1', []],
])('%s has below it %j', (path, mounts) => {
  expect(mountsBelow(path, mountinfo)).toEqual(mounts);
});
