/** tar archives member by member, ustar(5), so that they can hold what tar(1) would not write. */
import { writeFile } from 'node:fs/promises';

export interface Member {
  readonly name: string;
  readonly type?: 'file' | 'directory' | 'symlink' | 'hardlink' | 'device';
  /** Of a link. */
  readonly target?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly content?: string;
}

const BLOCK = 512;
const TYPES = { file: '0', hardlink: '1', symlink: '2', device: '3', directory: '5' } as const;

export async function writeArchive(path: string, members: readonly Member[]): Promise<void> {
  const blocks = members.flatMap((member) => [header(member), padded(member.content ?? '')]);
  await writeFile(path, Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]));
}

function header(member: Member): Buffer {
  const { name, type = 'file', target = '', mode = 0o755, uid = 0, content = '' } = member;
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, offset: number, length: number): void => {
    block.write(value.toString(8).padStart(length - 1, '0'), offset, 'latin1');
  };
  block.write(name, 0, 100, 'utf8');
  octal(mode, 100, 8);
  octal(uid, 108, 8);
  octal(uid, 116, 8);
  octal(Buffer.byteLength(content), 124, 12);
  octal(0, 136, 12);
  block.write('        ', 148, 'latin1');
  block.write(TYPES[type], 156, 'latin1');
  block.write(target, 157, 100, 'utf8');
  block.write('ustar\x0000', 257, 'latin1');
  octal(1, 329, 8);
  octal(3, 337, 8);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

function padded(content: string): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK)]);
}
