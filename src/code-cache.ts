/**
 * What V8 made of the chunks that a stage needs, kept from one start to the next: the difference is
 * four tenths of a bare node start. It is gone with the next boot, and V8 itself refuses what another
 * version or other flags made (vm.Script, `cachedData`).
 *
 * INVARIANT: the files hold code that runs as root, so they are read only where nobody but root can
 * have written them; and whatever is wrong with them, the stage goes on without.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  type Stats,
} from 'node:fs';
import type { Script } from 'node:vm';

const DIRECTORY = '/run/nspawn-runner';
const GROUP_OR_OTHERS_WRITE = 0o022;
/** V8 forgets functions that have not run for a while: a long stage has less to keep. */
const MAX_UPTIME_SEC = 60;

/** Compiled code by the name of the chunk. */
export type CodeCache = ReadonlyMap<string, Buffer>;

interface Header {
  readonly build: string;
  /** Name and bytes of each part, in their order behind the header's line. */
  readonly parts: readonly (readonly [string, number])[];
}

/** Empty where there is none of this build that can be trusted. */
export function readCodeCache(stage: string, build: string, directory = DIRECTORY): CodeCache {
  try {
    return decodeCodeCache(readTrusted(directory, fileOf(directory, stage)), build);
  } catch {
    return new Map();
  }
}

export interface CompiledChunks {
  readonly stage: string;
  readonly build: string;
  /** What was read at the start; it stays. */
  readonly known: CodeCache;
  readonly compiledHere: ReadonlyMap<string, Pick<Script, 'createCachedData'>>;
}

/** For the end of the process, when all that the stage calls is compiled. */
export function writeCodeCache(compiled: CompiledChunks, directory = DIRECTORY): void {
  if (process.getuid?.() !== 0 || process.uptime() > MAX_UPTIME_SEC) return;
  const { stage, build, known, compiledHere } = compiled;
  try {
    const parts = new Map(known);
    for (const [name, script] of compiledHere) parts.set(name, script.createCachedData());
    makeDirectory(directory);
    if (!isRootsAlone(lstatSync(directory))) return;
    const file = fileOf(directory, stage);
    const aside = `${file}.${process.pid}`;
    writeFileSync(aside, encodeCodeCache(parts, build), { flag: 'wx', mode: 0o600 });
    renameSync(aside, file);
  } catch {
    // The next start compiles again.
  }
}

export function encodeCodeCache(cache: CodeCache, build: string): Buffer {
  const header: Header = {
    build,
    parts: [...cache].map(([name, code]) => [name, code.length] as const),
  };
  return Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), ...cache.values()]);
}

/** Empty for the cache of another build and for one that is cut off. */
export function decodeCodeCache(bytes: Buffer, build: string): CodeCache {
  const cache = new Map<string, Buffer>();
  const end = bytes.indexOf('\n');
  const header = JSON.parse(bytes.toString('utf8', 0, end)) as Header;
  if (header.build !== build) return cache;
  let at = end + 1;
  for (const [name, length] of header.parts) {
    cache.set(name, bytes.subarray(at, at + length));
    at += length;
  }
  return at === bytes.length ? cache : new Map();
}

/** Not recursive: where the one above is not to be had either, Node 20 tries for ever. */
function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o755 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

function fileOf(directory: string, stage: string): string {
  return `${directory}/code-cache-${stage}`;
}

function readTrusted(directory: string, file: string): Buffer {
  if (!isRootsAlone(lstatSync(directory))) throw new Error(`${directory} is not root's alone`);
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    if (!isRootsAlone(fstatSync(descriptor))) throw new Error(`${file} is not root's alone`);
    return readFileSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Never a symbolic link: its own mode lets everyone write. */
function isRootsAlone({ uid, mode }: Pick<Stats, 'uid' | 'mode'>): boolean {
  return uid === 0 && (mode & GROUP_OR_OTHERS_WRITE) === 0;
}
