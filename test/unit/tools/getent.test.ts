import { describe, expect, it } from 'vitest';
import { parsePasswd } from '../../../src/tools/getent.ts';

describe('lines of passwd(5)', () => {
  it.each([
    ['root:x:0:0:root:/root:/bin/bash', [{ name: 'root', uid: 0, home: '/root' }]],
    [
      'a:x:1000:1000:,,,:/home/a:\nb:x:1001:1001::/home/b:/bin/sh\n',
      [
        { name: 'a', uid: 1000, home: '/home/a' },
        { name: 'b', uid: 1001, home: '/home/b' },
      ],
    ],
    ['a:x:-1:0::/home/a:', []],
    ['a:x:1:0::home:', []],
    ['# a:x:1:0', []],
    ['+::::::', []],
    ['', []],
  ])('%j', (text, expected) => {
    expect(parsePasswd(text)).toEqual(expected);
  });
});
