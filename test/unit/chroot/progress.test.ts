import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createBoard, type Board } from '../../../src/chroot/progress.ts';
import { fuzz } from '../fuzz.ts';

let written = '';
let now = 0;
const board = (columns: number | undefined): Board =>
  createBoard({ columns, write: (text) => (written += text), now: () => now });

const width = (line: string): number =>
  Array.from(line).reduce((sum, letter) => sum + (letter === '漢' ? 2 : 1), 0);

/** What a terminal shows after all that was written: it knows the three sequences that we use. */
function screen(columns: number): readonly string[] {
  const lines = [''];
  let row = 0;
  for (const part of written.match(/\u001b\[\d*[AJ]|[\r\n]|[^\u001b\r\n]+/g) ?? []) {
    const up = /^\u001b\[(\d*)A$/.exec(part)?.[1];
    if (up !== undefined) row -= Number(up === '' ? 1 : up);
    else if (part.endsWith('J')) lines.splice(row, Infinity, '');
    else if (part === '\n') lines[(row += 1)] ??= '';
    else if (part !== '\r') {
      lines[row] = (lines[row] ?? '') + part;
      expect(width(lines[row] ?? '')).toBeLessThan(columns);
    }
    expect(row).toBeGreaterThanOrEqual(0);
  }
  return lines;
}

beforeEach(() => {
  vi.useFakeTimers();
  written = '';
  now = 0;
});
afterEach(() => {
  vi.useRealTimers();
});

describe('where nobody watches', () => {
  it('each step is one line, and lines of tools are none', () => {
    const { open, close, say, end } = board(undefined);
    const { step, line } = open('debian-12');
    step('installing');
    line('Get:1 http://deb.debian.org');
    open('web').step('copying');
    step('checking');
    close('debian-12');
    say('debian-12: done');
    vi.advanceTimersByTime(1_000);
    end();
    expect(written).toBe(
      'debian-12: installing\nweb: copying\ndebian-12: checking\ndebian-12: done\n',
    );
  });
});

describe('on a terminal', () => {
  it('a line changes with step, seconds and the last line of the tool', () => {
    const { open, end } = board(60);
    const { step, line } = open('debian-12');
    expect(screen(60)).toEqual(['']);
    step('installing');
    expect(screen(60)).toEqual(['debian-12: installing, 0 s  ']);
    line('Setting up git (1:2.39) ...\n');
    now = 3_400;
    vi.advanceTimersByTime(200);
    expect(screen(60)).toEqual(['debian-12: installing, 3 s  Setting up git (1:2.39) ...']);
    step('checking');
    expect(screen(60)).toEqual(['debian-12: checking, 0 s  ']);
    end();
    expect(screen(60)).toEqual(['']);
    const before = written;
    vi.advanceTimersByTime(1_000);
    expect(written).toBe(before);
  });

  it('each chroot has its line, and what is said stays above them', () => {
    const { open, close, say, end } = board(60);
    open('debian-12').step('installing');
    open('debian-13').step('copying');
    const web = open('web');
    web.step('trying a machine');
    say('hello');
    expect(screen(60)).toEqual([
      'hello',
      'debian-12: installing, 0 s  ',
      'debian-13: copying, 0 s  ',
      'web: trying a machine, 0 s  ',
    ]);
    close('debian-13');
    close('nobody');
    say('debian-13: done');
    expect(screen(60)).toEqual([
      'hello',
      'debian-13: done',
      'debian-12: installing, 0 s  ',
      'web: trying a machine, 0 s  ',
    ]);
    close('debian-12');
    close('web');
    say('all done');
    end();
    expect(screen(60)).toEqual(['hello', 'debian-13: done', 'all done', '']);
  });

  it('a line of a chroot that has gone is none', () => {
    const { open, close, end } = board(60);
    const { step, line } = open('web');
    step('copying');
    close('web');
    line('late');
    step('late');
    vi.advanceTimersByTime(400);
    end();
    expect(screen(60)).toEqual(['']);
  });

  it('lines fit, and tools do not move the cursor', () => {
    const { open, end } = board(40);
    const { step, line } = open('debian-12');
    step('installing');
    line('50%\u001b[2J\u009b2J\t' + 'x'.repeat(100));
    vi.advanceTimersByTime(200);
    expect(screen(40)).toEqual(['debian-12: installing, 0 s  50% [2J 2J ']);
    end();
  });

  it('whatever happens, lines fit and nothing of the board stays', () => {
    const { below, pick, text } = fuzz('board');
    for (let run = 0; run < 20; run += 1) {
      written = '';
      const columns = 2 + below(60);
      const { open, close, say, end } = board(columns);
      const names = ['a', 'debian-12', 'web'];
      const rows = names.map((name) => open(name));
      const said: string[] = [];
      for (let at = 0; at < 40; at += 1) {
        const row = pick(rows);
        const words = text(below(80), 'ab \u001b\u009b[2JA\r\n\t\u0007ä漢');
        const short = text(below(columns), 'xyz');
        const choice = below(5);
        if (choice === 0) row.step(words);
        else if (choice === 1) row.line(words);
        else if (choice === 2) vi.advanceTimersByTime(below(500));
        else if (choice === 3 && below(4) === 0) close(pick(names));
        else if (choice === 4) {
          said.push(short);
          say(short);
        }
        now += below(5_000);
        screen(columns);
      }
      end();
      expect(screen(columns)).toEqual([...said, '']);
    }
  });
});
