import { describe, expect, it } from 'vitest';
import { xmlElements } from '../../../src/vm/xml-elements.ts';

describe('XML', () => {
  it('is a list of elements with their paths', () => {
    const xml = `<?xml version="1.0"?><!-- <a> --><a b='1' c="&lt;x&gt;">t<d/>u<d e='2'>v<![CDATA[<w>]]></d></a>`;
    expect(xmlElements(xml)).toEqual([
      {
        path: 'a',
        attributes: new Map([
          ['b', '1'],
          ['c', '<x>'],
        ]),
        text: 'tu',
        parent: -1,
      },
      { path: 'a/d', attributes: new Map(), text: '', parent: 0 },
      { path: 'a/d', attributes: new Map([['e', '2']]), text: 'v<w>', parent: 0 },
    ]);
  });

  it.each([
    ['&amp;lt;', '&lt;'],
    ['&#65;&#x42;', 'AB'],
    ['&quot;&apos;', '"\''],
    ['a\nb', 'a\nb'],
  ])('has the entities of libvirt: %s', (text, expected) => {
    expect(xmlElements(`<a>${text}</a>`)[0]?.text).toBe(expected);
  });

  it.each(['<é:x/>', '<a-b.c:d/>', '<_/>'])('takes any name: %s', (xml) => {
    expect(xmlElements(xml)).toHaveLength(1);
  });

  it.each([
    '',
    'text',
    '<a>',
    '<a></b>',
    '</a>',
    '<a/><b/>',
    '<a><b></a></b>',
    '<a b=c/>',
    '<a>&unknown;</a>',
    '<a>&lt</a>',
    '<a>&#x110000;</a>',
    '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    '<a/>text',
    '<a><!-- </a>',
    '<a <b/></a>',
  ])('is refused where it is not well-formed: %s', (xml) => {
    expect(() => xmlElements(xml)).toThrow(/^XML /);
  });

  it('takes time in proportion to its length', () => {
    const startedAt = performance.now();
    expect(() => xmlElements(`<a ${'b '.repeat(50_000)}`)).toThrow();
    expect(() => xmlElements(`<a>${'<!-- '.repeat(5_000)}`)).toThrow();
    expect(xmlElements(`<a>${'<b c="d"/>'.repeat(20_000)}</a>`)).toHaveLength(20_001);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });
});
