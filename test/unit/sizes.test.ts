import { describe, expect, it } from 'vitest';
import { parseDuration, parsePercent, parseSize } from '../../src/sizes.ts';

describe('parseSize', () => {
  it.each([
    ['0', 0],
    [4096, 4096],
    ['4G', 4 * 1024 ** 3],
    ['1.5M', 1.5 * 1024 ** 2],
    ['512K', 512 * 1024],
    ['2T', 2 * 1024 ** 4],
    ['lots', undefined],
    ['', undefined],
    ['4g', undefined],
    ['4GB', undefined],
    ['-1', undefined],
    ['1e3', undefined],
    ['99999999T', undefined],
    [Number.NaN, undefined],
  ])('%j is %s', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });
});

describe('parsePercent', () => {
  it.each([
    ['40%', 40],
    ['12.5%', 12.5],
    ['200%', 200],
    ['40', undefined],
    ['%', undefined],
    ['-1%', undefined],
  ])('%j is %s', (text, percent) => {
    expect(parsePercent(text)).toBe(percent);
  });
});

describe('parseDuration', () => {
  it.each([
    [0, 0],
    [90, 90],
    ['90', 90],
    ['60s', 60],
    ['15min', 900],
    ['15m', 900],
    ['2h', 7200],
    ['1d', 86_400],
    ['1h 30min', 5400],
    ['1h30min', 5400],
    ['500ms', 0.5],
    ['2 hours', 7200],
    ['1.5 s', 1.5],
    ['', undefined],
    ['soon', undefined],
    ['1h soon', undefined],
    ['1 h x', undefined],
    ['-1s', undefined],
    ['60S', undefined],
    [Number.POSITIVE_INFINITY, undefined],
  ])('%j is %s', (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds);
  });
});
