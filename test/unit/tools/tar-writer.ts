/** Archives member by member, as GNU tar would not write them. */

export interface Member {
  readonly path: string;
  /** As in tar(5): '0' a file, '1' a hard link, '2' a symbolic link, '3' and '4' devices, '5' a directory. */
  readonly type?: string;
  readonly content?: Buffer | string;
  readonly target?: string;
  readonly mode?: number;
  readonly device?: readonly [number, number];
  /** The extended header's. */
  readonly extended?: Readonly<Record<string, string>>;
}

/** Paths and values have one character a byte. */
export function tarOf(...members: readonly Member[]): Buffer {
  return Buffer.concat([...members.flatMap(memberBlocks), Buffer.alloc(1024)]);
}

function memberBlocks(member: Member): Buffer[] {
  const { extended } = member;
  const content = Buffer.from(member.content ?? '');
  const own = [header(member, content.length), content, padding(content.length)];
  if (extended === undefined) return own;
  const records = Buffer.from(Object.entries(extended).map(extendedRecord).join(''), 'latin1');
  const before = { path: 'PaxHeaders/x', type: 'x' };
  return [header(before, records.length), records, padding(records.length), ...own];
}

export function extendedRecord([key, value]: readonly [string, string]): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length;
  while (String(length).length + rest.length !== length)
    length = String(length).length + rest.length;
  return `${length}${rest}`;
}

function header({ path, type = '0', target = '', mode, device }: Member, size: number): Buffer {
  const block = Buffer.alloc(512);
  const octal = (value: number, at: number, digits: number): void => {
    block.write(`${value.toString(8).padStart(digits - 1, '0')}\0`, at, 'latin1');
  };
  block.write(path, 0, 100, 'latin1');
  octal(mode ?? (type === '5' ? 0o755 : 0o644), 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(1_700_000_000, 136, 12);
  block.write(type, 156, 'latin1');
  block.write(target, 157, 100, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  octal(device?.[0] ?? 0, 329, 8);
  octal(device?.[1] ?? 0, 337, 8);
  block.fill(' ', 148, 156);
  octal(
    block.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  );
  return block;
}

function padding(size: number): Buffer {
  return Buffer.alloc((512 - (size % 512)) % 512);
}
