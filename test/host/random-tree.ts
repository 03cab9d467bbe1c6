/** Trees with everything a file system can hold, drawn from a seed. */
import { execa } from 'execa';
import { chmodSync, chownSync, linkSync, lstatSync, mkdirSync, symlinkSync } from 'node:fs';
import { truncateSync, writeFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Fuzz } from '../unit/fuzz.ts';

/** Names that a program could take for something else, or break on. */
const NAMES: readonly Buffer[] = [
  ...['-rf', '--', '*', ' ', 'a b', '%s', 'line\nfeed', 'back\\slash', '"', "'", 'grün', '...'],
  ...['PaxHeaders', 'export.json', 'tree', 'x'.repeat(255), '\u202e', '{', '=', '\\n', '~'],
].map((name) => Buffer.from(name));
const NOT_UTF8 = Buffer.from([0x69, 0xff, 0xfe, 0x80]);
const MODES = [0o644, 0o600, 0o755, 0o4755, 0o2755, 0o6711, 0o000, 0o1777, 0o444];
const IDS = [0, 1, 100, 1000, 65534, 3_000_000_000];

export interface RandomTree {
  readonly path: string;
  readonly random: Fuzz;
  /** As the paths of what was made, for later changes. */
  readonly files: Buffer[];
  readonly directories: Buffer[];
}

const below = (directory: Buffer, name: Buffer): Buffer =>
  Buffer.concat([directory, Buffer.from('/'), name]);

/** Fills a directory that is there. */
export async function makeRandomTree(
  path: string,
  entries: number,
  random: Fuzz,
): Promise<RandomTree> {
  const tree: RandomTree = { path, random, files: [], directories: [Buffer.from(path)] };
  for (let made = 0; made < entries; made++) makeEntry(tree, made);
  await makeSpecial(tree);
  await giveAttributes(tree);
  await giveTimes(tree);
  return tree;
}

function makeEntry(tree: RandomTree, made: number): void {
  const { random, files, directories } = tree;
  const parent = random.pick(directories);
  const name = random.pick([
    ...NAMES,
    NOT_UTF8,
    Buffer.from('f'),
    Buffer.from('f'),
    Buffer.from('f'),
  ]);
  const place = below(parent, Buffer.concat([name.subarray(0, 240), Buffer.from(String(made))]));
  const file = files.length === 0 ? undefined : random.pick(files);
  const kind = random.pick([
    'file',
    'file',
    'file',
    'directory',
    'link',
    'hard',
    'sparse',
  ] as const);
  if (kind === 'directory') {
    mkdirSync(place);
    // Deeper ones come to 1,000 bytes: paths longer than a tar header has room for.
    if (place.length < 1500) directories.push(place);
  } else if (kind === 'link') {
    const targets = ['/etc/passwd', '../../../..', 'nowhere', 'y'.repeat(300), 'grün\n'];
    symlinkSync(random.pick(targets), place);
    return;
  } else if (kind === 'hard' && file !== undefined) {
    linkSync(file, place);
    return;
  } else {
    const sizes = [0, 1, 511, 512, 4096, 4097, 70_000];
    writeFileSync(place, randomBytesOf(random, random.pick(sizes)));
    if (kind === 'sparse') truncateSync(place, 3_000_000);
    files.push(place);
  }
  chownSync(place, random.pick(IDS), random.pick(IDS));
  chmodSync(place, random.pick(MODES));
}

export function randomBytesOf(random: Fuzz, size: number): Buffer {
  return Buffer.from(Array.from({ length: size }, () => random.below(256)));
}

async function makeSpecial({ path }: RandomTree): Promise<void> {
  await execa('mkfifo', [join(path, 'fifo')]);
  mkdirSync(join(path, 'dev'));
  await execa('mknod', [join(path, 'dev/null'), 'c', '1', '3']);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(path, 'listening'), resolve));
  // Closing removes what has the name that it was made with.
  await rename(join(path, 'listening'), join(path, 'socket'));
  await new Promise((resolve) => server.close(resolve));
}

/** Extended attributes, ACLs and capabilities on files and directories of names of our own. */
async function giveAttributes({ path, random }: RandomTree): Promise<void> {
  const at = (name: string): string => join(path, name);
  for (const name of ['attributes', 'acl', 'capable', 'all']) {
    writeFileSync(at(name), randomBytesOf(random, 5000));
  }
  mkdirSync(at('inherited'));
  for (const name of ['attributes', 'all', 'inherited']) {
    await execa('setfattr', ['--name=user.a=b', '--value=0x000a3d', at(name)]);
    await execa('setfattr', ['--name=user.empty', at(name)]);
  }
  for (const name of ['acl', 'all']) await execa('setfacl', ['-m', 'u:1:rw,g:4:r', at(name)]);
  await execa('setfacl', ['-m', 'd:u:1:rwx,d:g:4:r,g:4:rx', at('inherited')]);
  writeFileSync(at('inherited/file'), 'x');
  mkdirSync(at('inherited/directory'));
  chownSync(at('all'), 1000, 1000);
  chmodSync(at('all'), 0o4755);
  for (const name of ['capable', 'all']) await execa('setcap', ['cap_net_raw+ep', at(name)]);
}

/** Of every entry, to the nanosecond, directories last. */
async function giveTimes({ path, random }: RandomTree): Promise<void> {
  for (const name of ['attributes', 'acl', 'capable', 'all', 'fifo', 'socket', 'inherited', '.']) {
    const time = `@${random.below(2_000_000_000)}.${String(random.below(999_999_999) + 1).padStart(9, '0')}`;
    await execa('touch', ['--no-dereference', `--date=${time}`, join(path, name)]);
  }
}

export function isSocket(path: string): boolean {
  return lstatSync(path).isSocket();
}
