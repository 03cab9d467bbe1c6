import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createProgress, type Progress } from '../../../src/chroot/progress.ts';

let written = '';
let now = 0;
const progress = (columns: number | undefined): Progress =>
  createProgress('debian-12', { columns, write: (text) => (written += text), now: () => now });
/** What stands in the line after all that was written. */
const shown = (): string => written.split('\r\u001b[K').at(-1) ?? '';

beforeEach(() => {
  vi.useFakeTimers();
  written = '';
  now = 0;
});
afterEach(() => {
  vi.useRealTimers();
});

describe('progress', () => {
  it('is one line for each step where nobody watches', () => {
    const { step, line, end } = progress(undefined);
    step('installing');
    line('Get:1 http://deb.debian.org');
    step('checking');
    end();
    expect(written).toBe('debian-12: installing\ndebian-12: checking\n');
  });

  it('is one line that changes on a terminal', () => {
    const { step, line, end } = progress(60);
    step('installing');
    expect(shown()).toBe('debian-12: installing, 0 s  ');
    line('Setting up git (1:2.39) ...');
    now = 3_400;
    vi.advanceTimersByTime(200);
    expect(shown()).toBe('debian-12: installing, 3 s  Setting up git (1:2.39) ...');
    step('checking');
    expect(shown()).toBe('debian-12: checking, 0 s  ');
    end();
    expect(shown()).toBe('');
    const before = written;
    vi.advanceTimersByTime(1_000);
    expect(written).toBe(before);
  });

  it('fits the terminal and keeps its cursor', () => {
    const { step, line, end } = progress(40);
    step('installing');
    line('50%\u001b[2J\t' + 'x'.repeat(100));
    vi.advanceTimersByTime(200);
    expect(shown()).toBe('debian-12: installing, 0 s  50% [2J xxx');
    expect(shown()).toHaveLength(39);
    end();
  });
});
