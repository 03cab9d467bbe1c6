/** A tree that is as bad to delete as root of a machine, or of the host, can make one. */
import { execa } from 'execa';
import { createServer } from 'node:net';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { chmod, link, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { host } from './driver.ts';

/** Names that a program could take for something else. */
const NAMES: readonly (string | Buffer)[] = [
  ...['-rf', '--', '-', '--no-preserve-root', '--help', '*', '~', ' ', 'a b', '$(exit)', '%s'],
  ...['line\nfeed', '\ttab', 'back\\slash', '\\012', '"', "'", '\u202e', 'x'.repeat(255), '...'],
  Buffer.from([0x69, 0xff, 0xfe, 0x80]),
];
const FILES_IN_ONE = 500;
const DEPTH = 3_000;

/** Things outside that a deletion could reach: on the file system of the state, and on another. */
export interface Outside {
  readonly same: string;
  readonly other: string;
  /** Every file with its attributes and contents, and of /etc; for two looks to compare. */
  readonly manifest: () => Promise<readonly string[]>;
  readonly remove: () => Promise<void>;
}

export async function makeOutside(): Promise<Outside> {
  const [same, other] = ['/var/lib/outside', '/tmp/outside'];
  for (const path of [same, other]) {
    await mkdir(join(path, 'deep/er'), { recursive: true });
    await writeFile(join(path, 'deep/er/file'), 'precious');
    await writeFile(join(path, 'immutable'), 'precious');
    await symlink('deep', join(path, 'link'));
  }
  await host('chattr', '+i', join(same, 'immutable'));
  await writeFile(join(same, 'linked'), 'precious');
  const manifest = async (): Promise<readonly string[]> => {
    const places = ['/etc', same, other];
    const format = String.raw`%p %y %m %U %G %s %T@ %l\n`;
    const files = await host('find', ...places, '-printf', format);
    const args = [...places, '-type', 'f', '-exec', 'sha256sum', '{}', '+'];
    const contents = await host('find', ...args);
    const attributes = await host('lsattr', '-R', '-a', same);
    return [files, contents, attributes].flatMap((text) => text.split('\n'));
  };
  const remove = async (): Promise<void> => {
    await host('chattr', '-i', join(same, 'immutable'));
    for (const path of [same, other]) await rm(path, { recursive: true });
  };
  return { same, other, manifest, remove };
}

/** Makes `path`, with as many files. */
export async function makeHostileTree(
  path: string,
  files: number,
  { same }: Outside,
  { isDeepImmutable = false } = {},
): Promise<void> {
  await mkdir(path, { recursive: true });
  makeFiles(join(path, 'many'), files);
  await makeNames(join(path, 'names'));
  await makeKinds(join(path, 'kinds'), same);
  await makeDeep(join(path, 'deep'), isDeepImmutable);
  await makeWhiteouts(join(path, 'overlay'));
  await makeFast(join(path, 'fast'));
  await mkdir(join(path, 'closed/er'), { recursive: true });
  await chmod(join(path, 'closed/er'), 0);
  await chmod(join(path, 'closed'), 0);
}

function makeFiles(path: string, count: number): void {
  for (let made = 0; made < count; made++) {
    const directory = join(path, String(Math.floor(made / FILES_IN_ONE)));
    if (made % FILES_IN_ONE === 0) mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `file${made}`), '');
  }
}

async function makeNames(path: string): Promise<void> {
  await mkdir(path);
  for (const name of NAMES) {
    const at = Buffer.concat([Buffer.from(`${path}/`), Buffer.from(name)]);
    await mkdir(at);
    for (const inner of NAMES) {
      await writeFile(Buffer.concat([at, Buffer.from('/'), Buffer.from(inner)]), '');
    }
  }
}

async function makeKinds(path: string, outside: string): Promise<void> {
  await mkdir(path);
  const targets = [
    '/etc',
    '/',
    '..',
    '../../../../../../../../etc',
    outside,
    'loop',
    '/nonexistent',
  ];
  for (const [at, target] of targets.entries()) symlinkSync(target, join(path, `link${at}`));
  symlinkSync('loop', join(path, 'loop'));
  await link(join(outside, 'linked'), join(path, 'hard'));
  await host('mkfifo', join(path, 'fifo'));
  await host('mknod', join(path, 'null'), 'c', '1', '3');
  await host('mknod', join(path, 'disk'), 'b', '254', '0');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(path, 'socket'), resolve));
  // Closing removes what has the name that it was made with.
  await rename(join(path, 'socket'), join(path, 'socket that stays'));
  await new Promise((resolve) => server.close(resolve));
}

/** Far longer than a path may be for the kernel, PATH_MAX of limits.h. */
export async function makeDeep(path: string, isImmutable: boolean): Promise<void> {
  await mkdir(path);
  const program = `for (1..${DEPTH}) { mkdir "dd" or die; chdir "dd" or die }
    open(F, ">", "end") or die; close F;
    ${isImmutable ? 'system("chattr", "+i", "end") == 0 or die' : ''}`;
  await execa('perl', ['-e', program], { cwd: path });
}

/** What overlayfs leaves in an upperdir: character devices 0/0, and attributes trusted.overlay.*. */
async function makeWhiteouts(path: string): Promise<void> {
  for (const part of ['lower/a/b', 'upper', 'work', 'merged']) {
    await mkdir(join(path, part), { recursive: true });
  }
  await writeFile(join(path, 'lower/a/b/file'), '');
  const layers = ['lower', 'upper', 'work'].map((part) => `${part}dir=${join(path, part)}`);
  const merged = join(path, 'merged');
  await host('mount', '--types=overlay', `--options=${layers.join(',')}`, 'hostile', merged);
  await rm(join(merged, 'a/b'), { recursive: true });
  await mkdir(join(merged, 'a/b'));
  await rm(join(merged, 'a'), { recursive: true });
  await host('umount', merged);
}

/** Attributes that chattr(1) sets: rm(1) alone cannot delete these. */
async function makeFast(path: string): Promise<void> {
  await mkdir(join(path, 'directory/er'), { recursive: true });
  for (const name of ['immutable', 'append', '-i', 'directory/er/file']) {
    await writeFile(join(path, name), '');
  }
  const set = (flag: string, name: string) => host('chattr', flag, '--', join(path, name));
  await set('+i', 'immutable');
  await set('+a', 'append');
  await set('+ai', '-i');
  await set('+i', 'directory/er');
  await set('+a', 'directory');
}

/** Mounts below `path` on the host: of the same file system and another, stacked, of the whole host. */
export async function mountBelow(path: string, outside: Outside, whole: string): Promise<void> {
  const at = async (name: string): Promise<string> => {
    await mkdir(join(path, name), { recursive: true });
    return join(path, name);
  };
  await host('mount', '--bind', outside.same, await at('same'));
  await host('mount', '--bind', outside.other, await at('other'));
  await host('mount', '--types=tmpfs', 'hostile', await at('memory'));
  await host('mount', '--bind', outside.same, await at('memory/inside'));
  await host('mount', '--bind', outside.same, await at('line\nfeed and\\012 more'));
  const stack = await at('stack');
  await host('mount', '--bind', outside.other, stack);
  // Not bound: mounts that are peers double with each of them on a shared host.
  for (let layer = 0; layer < 12; layer++) await host('mount', '--types=tmpfs', 'hostile', stack);
  // The last one: what is mounted after it on a shared host comes up in it as well, and so on.
  await host('mount', '--rbind', whole, await at('whole'));
}
