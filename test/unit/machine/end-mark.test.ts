import { describe, expect, it } from 'vitest';
import { EndMark } from '../../../src/machine/end-mark.ts';

const NONCE = '0123456789abcdef0123456789abcdef';
const MARK = `\u0001\u0002${NONCE} `;

function feed(chunks: readonly string[]): { output: string; status: number | undefined } {
  const mark = new EndMark(NONCE);
  let output = '';
  for (const chunk of chunks) {
    const split = mark.push(Buffer.from(chunk, 'latin1'));
    output += split.output.toString('latin1');
    if (split.status !== undefined) return { output, status: split.status };
  }
  return { output: output + mark.rest().toString('latin1'), status: undefined };
}

describe('EndMark', () => {
  it.each([
    ['alone', [`${MARK}0\n`], '', 0],
    ['behind output', [`hello\n${MARK}42\n`], 'hello\n', 42],
    ['behind output without a newline', [`hello${MARK}255\nlate`], 'hello', 255],
    ['missing', ['hello\n', 'world'], 'hello\nworld', undefined],
    [
      'as printed by ps, without the control bytes',
      [`sh frame.sh ${NONCE} 0\n`],
      `sh frame.sh ${NONCE} 0\n`,
      undefined,
    ],
    [
      'with another nonce',
      [`\u0001\u0002${'f'.repeat(32)} 0\n`],
      `\u0001\u0002${'f'.repeat(32)} 0\n`,
      undefined,
    ],
  ])('%s', (_, chunks, output, status) => {
    expect(feed(chunks)).toEqual({ output, status });
  });

  it('is found however the stream is cut', () => {
    const text = `a\u0001b\u0001\u0002c${MARK}7\n`;
    for (let first = 0; first <= text.length; first++) {
      for (let second = first; second <= text.length; second++) {
        const chunks = [text.slice(0, first), text.slice(first, second), text.slice(second)];
        expect(feed(chunks)).toEqual({ output: 'a\u0001b\u0001\u0002c', status: 7 });
      }
    }
  });

  const fakes = [
    ...['foo', '', '-1', '256', '999', '1000', '0000', '1.5', '1 ', ' 1', '0x1', 'NaN'].map(
      (text) => `${MARK}${text}\n`,
    ),
    ...[`${MARK}1\r\n`, `${MARK}12`, `${MARK}12${MARK}`, `${MARK.slice(0, -1)}\n`],
  ];
  it.each(fakes)('is not %j, however the stream is cut', (fake) => {
    for (let first = 0; first <= fake.length; first++) {
      for (let second = first; second <= fake.length; second++) {
        const chunks = [fake.slice(0, first), fake.slice(first, second), fake.slice(second)];
        expect(feed([...chunks, 'more'])).toEqual({ output: `${fake}more`, status: undefined });
        expect(feed([...chunks, `x${MARK}255\n`])).toEqual({ output: `${fake}x`, status: 255 });
      }
    }
  });

  it('holds nothing behind a mark that is none', () => {
    const mark = new EndMark(NONCE);
    mark.push(Buffer.from(MARK, 'latin1'));
    for (let count = 0; count < 100; count++) {
      mark.push(Buffer.alloc(1000, '1'));
      expect(mark.rest().length).toBeLessThan(MARK.length + 4);
    }
  });

  it('holds back no more than a mark', () => {
    const mark = new EndMark(NONCE);
    const { output } = mark.push(Buffer.from('x'.repeat(100_000) + MARK.slice(0, 10), 'latin1'));
    expect(output.length).toBe(100_000);
    expect(mark.rest().length).toBe(10);
  });
});
