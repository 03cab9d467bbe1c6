import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { runTasks, type Task, type TaskEnd } from '../../../src/upkeep/schedule.ts';
import { fuzz } from '../fuzz.ts';

const task = (name: string, after: readonly string[], run = () => Promise.resolve(name)) => ({
  ...{ name, after, run },
});
const fail = (name: string) => () => Promise.reject(new Error(name));

describe('tasks', () => {
  it('are none', async () => {
    expect(await runTasks([], 1)).toEqual([]);
  });

  it('run one after the other, and end in the order in which they were given', async () => {
    const log: string[] = [];
    const logged = (name: string, after: readonly string[]) =>
      task(name, after, async () => {
        log.push(`+${name}`);
        await setImmediate();
        log.push(`-${name}`);
        return name;
      });
    const ends = await runTasks([logged('c', ['b']), logged('b', ['a']), logged('a', [])], 4);
    expect(log).toEqual(['+a', '-a', '+b', '-b', '+c', '-c']);
    expect(ends.map(({ name }) => name)).toEqual(['c', 'b', 'a']);
  });

  it('do not wait for names that are not among them', async () => {
    expect(await runTasks([task('web', ['debian-12'])], 1)).toEqual([
      { name: 'web', result: 'web' },
    ]);
  });

  it('that fail stop what waits for them, and nothing else', async () => {
    const ends = await runTasks(
      [
        task('base', [], fail('base')),
        task('web', ['base']),
        task('api', ['web']),
        task('other', []),
      ],
      2,
    );
    expect(ends).toEqual([
      { name: 'base', error: new Error('base') },
      { name: 'web', failed: 'base' },
      { name: 'api', failed: 'web' },
      { name: 'other', result: 'other' },
    ]);
  });

  it('may throw before they promise anything', async () => {
    const run = (): Promise<string> => {
      throw new Error('at once');
    };
    expect(await runTasks([task('a', [], run)], 1)).toEqual([
      { name: 'a', error: new Error('at once') },
    ]);
  });

  it('that wait for each other are a fault of ours, and nobody hangs', async () => {
    const tasks = [task('a', ['b']), task('b', ['a']), task('c', [])];
    await expect(runTasks(tasks, 1)).rejects.toThrow('Tasks wait for each other: a, b, c.');
  });
});

interface Running {
  readonly name: string;
  readonly end: (isGood: boolean) => void;
}

/** Tasks that end when they are told to. */
function heldTasks(names: readonly string[], afterOf: (at: number) => readonly string[]) {
  const running: Running[] = [];
  const begun: string[] = [];
  const tasks: Task<string>[] = names.map((name, at) => ({
    ...{ name, after: afterOf(at) },
    run: () =>
      new Promise((resolve, reject) => {
        begun.push(name);
        const end = (isGood: boolean): void => {
          running.splice(
            running.findIndex((one) => one.name === name),
            1,
          );
          if (isGood) resolve(name);
          else reject(new Error(name));
        };
        running.push({ name, end });
      }),
  }));
  return { tasks, running, begun };
}

describe('any tasks', () => {
  it('run once each, never too many, never too early, and no place stays free', async () => {
    const { below, pick } = fuzz('tasks');
    for (let run = 0; run < 60; run += 1) {
      const width = 1 + below(4);
      const names = Array.from({ length: below(12) }, (_, at) => `t${at}`);
      // After those before it, and after strangers; the order of the list says nothing.
      const earlier = (at: number): string[] => names.slice(0, at).filter(() => below(4) === 0);
      const { tasks, running, begun } = heldTasks(names, (at) =>
        below(5) === 0 ? ['stranger', ...earlier(at)] : earlier(at),
      );
      const good = new Set<string>();
      const bad = new Set<string>();
      const shuffled = [...tasks].sort(() => below(3) - 1);
      const result = runTasks(shuffled, width);
      const blocked = (one: Task<string>): boolean =>
        one.after.some((name) => bad.has(name) || isBlocked(name));
      const isBlocked = (name: string): boolean => {
        const found = tasks.find((one) => one.name === name);
        return found !== undefined && blocked(found);
      };
      for (;;) {
        await setImmediate();
        expect(running.length).toBeLessThanOrEqual(width);
        const ready = tasks.filter(
          ({ name, after }) =>
            !begun.includes(name) &&
            after.every((other) => good.has(other) || !names.includes(other)),
        );
        if (running.length < width) expect(ready).toEqual([]);
        if (running.length === 0) break;
        const { name, end } = pick(running);
        const isGood = below(5) > 0;
        (isGood ? good : bad).add(name);
        end(isGood);
      }
      const ends: readonly TaskEnd<string>[] = await result;
      expect(ends.map(({ name }) => name)).toEqual(shuffled.map(({ name }) => name));
      expect(new Set(begun).size).toBe(begun.length);
      for (const end of ends) {
        expect('result' in end).toBe(good.has(end.name));
        expect('error' in end).toBe(bad.has(end.name));
        if ('failed' in end) {
          expect(tasks.find(({ name }) => name === end.name)?.after).toContain(end.failed);
          expect(good.has(end.failed)).toBe(false);
        }
      }
    }
  });
});
