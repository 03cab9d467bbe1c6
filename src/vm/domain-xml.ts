/** What libvirt's XML says of a domain (libvirt.org, "Domain XML format") or a pool; pure. */
import { marksInText, joinMarks, type Marks } from './marks.ts';
import { xmlElements, type XmlElement } from './xml-elements.ts';

export interface Domain {
  readonly name: string;
  readonly marks: Marks;
  /** What it writes to: disks that are neither read-only nor removable discs. */
  readonly disks: readonly DiskSource[];
  /** Every file that it refers to, for whatever purpose. */
  readonly allFiles: readonly string[];
  readonly nvram: string | undefined;
  /** Pools by name that its disks come from. */
  readonly pools: readonly string[];
}

export type DiskSource =
  { readonly file: string } | { readonly pool: string; readonly volume: string };

/** @throws HostError for text that is no domain's. */
export function parseDomain(xml: string): Domain {
  const elements = xmlElements(xml);
  const textAt = (path: string): string | undefined =>
    elements.find((element) => element.path === path)?.text;
  const metadata = elements.filter(({ path }) => path.startsWith('domain/metadata/'));
  return {
    name: textAt('domain/name') ?? '',
    marks: joinMarks(
      marksInText(textAt('domain/description') ?? ''),
      ...metadata.map(({ text }) => marksInText(text)),
    ),
    disks: elements.flatMap((_, index) => diskSource(elements, index)),
    allFiles: elements.flatMap(filesOf),
    nvram: nvramOf(elements),
    pools: elements.flatMap(({ attributes }) => attributes.get('pool') ?? []),
  };
}

/** Its text, or since libvirt 8.5 a source like a disk's. */
function nvramOf(elements: readonly XmlElement[]): string | undefined {
  const text = elements.find(({ path }) => path === 'domain/os/nvram')?.text.trim();
  if (text !== undefined && text !== '') return text;
  return elements.find(({ path }) => path === 'domain/os/nvram/source')?.attributes.get('file');
}

function diskSource(elements: readonly XmlElement[], index: number): DiskSource[] {
  const disk = elements[index];
  if (disk?.path !== 'domain/devices/disk') return [];
  const kind = disk.attributes.get('device') ?? 'disk';
  const own = elements.filter(({ parent }) => parent === index);
  const isWritten = kind === 'disk' || kind === 'lun';
  if (!isWritten || own.some(({ path }) => path.endsWith('/readonly'))) return [];
  return own
    .filter(({ path }) => path === 'domain/devices/disk/source')
    .flatMap(({ attributes }): DiskSource[] => {
      const file = attributes.get('file') ?? attributes.get('dev');
      if (file !== undefined) return [{ file }];
      const pool = attributes.get('pool');
      const volume = attributes.get('volume');
      return pool === undefined || volume === undefined ? [] : [{ pool, volume }];
    });
}

function filesOf({ path, attributes, text }: XmlElement): string[] {
  const named = ['file', 'dev', 'dir', 'path'].map((name) => attributes.get(name));
  const written = /^domain\/os\/(loader|nvram|kernel|initrd|dtb)$/.test(path) ? text.trim() : '';
  return [...named, written].filter((file): file is string => file?.startsWith('/') === true);
}

export interface Pool {
  readonly name: string;
  /** Absolute; undefined for a pool that is no directory. */
  readonly path: string | undefined;
}

/** @throws HostError for text that is no pool's. */
export function parsePool(xml: string): Pool {
  const elements = xmlElements(xml);
  const textAt = (path: string): string | undefined =>
    elements.find((element) => element.path === path)?.text.trim();
  const path = textAt('pool/target/path');
  return {
    name: textAt('pool/name') ?? '',
    path: path?.startsWith('/') === true ? path : undefined,
  };
}
