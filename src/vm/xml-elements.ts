/**
 * Reads XML as libvirt writes it: elements, attributes, text, comments and CDATA; no DTD, and an
 * undeclared entity is an error. What is needed of it is a list of elements with their paths, so
 * that text which only looks like an element is never taken for one.
 */
import { HostError } from '../errors.ts';

export interface XmlElement {
  /** Names from the root on, `domain/devices/disk/source`. */
  readonly path: string;
  readonly attributes: ReadonlyMap<string, string>;
  /** Text that stands directly in it. */
  readonly text: string;
  /** Index of the element around it in the list; -1 for the root. */
  readonly parent: number;
}

/** Wider than XML's own: a job may put elements of any name into a domain's metadata. */
const NAME = '[^\\s<>/=\'"!?&][^\\s<>/=\'"]*';
const ATTRIBUTE = `\\s+(${NAME})\\s*=\\s*(?:'([^'<]*)'|"([^"<]*)")`;
const TOKEN = new RegExp(
  [
    '<!--[^]*?-->',
    '<\\?[^]*?\\?>',
    '<!\\[CDATA\\[(?<data>[^]*?)\\]\\]>',
    `</(?<close>${NAME})\\s*>`,
    `<(?<open>${NAME})(?<attributes>(?:\\s+${NAME}\\s*=\\s*(?:'[^'<]*'|"[^"<]*"))*)\\s*(?<empty>/?)>`,
    '(?<text>[^<]+)',
  ].join('|'),
  'y',
);

interface Open {
  readonly index: number;
  readonly name: string;
  readonly path: string;
}

/**
 * Elements in the order of their start tags.
 * @throws HostError for text that is not well-formed.
 */
export function xmlElements(xml: string): XmlElement[] {
  const elements: { -readonly [key in keyof XmlElement]: XmlElement[key] }[] = [];
  const open: Open[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < xml.length) {
    const at = TOKEN.lastIndex;
    const found = TOKEN.exec(xml)?.groups;
    if (found === undefined) {
      if (/^<(!--|\?)/.test(xml.slice(at, at + 4)) && TOKEN.lastIndex > at) continue;
      throw malformed(at);
    }
    const top = open.at(-1);
    const element = top === undefined ? undefined : elements[top.index];
    if (found['open'] !== undefined) {
      if (top === undefined && elements.length > 0) throw malformed(at);
      const name = found['open'];
      const path = top === undefined ? name : `${top.path}/${name}`;
      const attributes = readAttributes(found['attributes'] ?? '');
      elements.push({ path, attributes, text: '', parent: top?.index ?? -1 });
      if (found['empty'] === '') open.push({ index: elements.length - 1, name, path });
    } else if (found['close'] !== undefined) {
      if (open.pop()?.name !== found['close']) throw malformed(at);
    } else if (element !== undefined) {
      element.text += found['data'] ?? decodeEntities(found['text'] ?? '');
    } else if ((found['text'] ?? '').trim() !== '') throw malformed(at);
  }
  if (open.length > 0 || elements.length === 0) throw malformed(xml.length);
  return elements;
}

function malformed(at: number): HostError {
  return new HostError(`XML is not well-formed at character ${at}.`);
}

function readAttributes(text: string): ReadonlyMap<string, string> {
  const attributes = new Map<string, string>();
  for (const [, name, single, double] of text.matchAll(new RegExp(ATTRIBUTE, 'g'))) {
    if (name !== undefined) attributes.set(name, decodeEntities(single ?? double ?? ''));
  }
  return attributes;
}

const ENTITIES: Readonly<Record<string, string>> = {
  lt: '<',
  gt: '>',
  amp: '&',
  quot: '"',
  apos: "'",
};

function decodeEntities(text: string): string {
  return text.replaceAll(/&([^;&]*);?/g, (whole, name: string) => {
    const [, hex, decimal] = /^#(?:x([0-9a-f]{1,6})|(\d{1,7}))$/i.exec(name) ?? [];
    const code = hex === undefined ? Number(decimal) : parseInt(hex, 16);
    if (code <= 0x10ffff) return String.fromCodePoint(code);
    const known = Object.hasOwn(ENTITIES, name) ? ENTITIES[name] : undefined;
    if (known === undefined || !whole.endsWith(';')) {
      throw new HostError(`XML has an entity "${name.slice(0, 20)}" that is not known.`);
    }
    return known;
  });
}
