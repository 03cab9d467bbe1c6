import { describe, expect, it } from 'vitest';
import { holdCurrent } from '../../../src/machine/hold-current.ts';

interface Base {
  readonly version: string;
}

/** A chroot whose current version may change, and a job's record of the version that it uses. */
class Store {
  readonly #removed = new Set<string>();
  readonly looks: string[] = [];
  record: string | undefined;
  current: string | undefined;

  constructor(current: string) {
    this.current = current;
  }

  /** As the pruner does it: switch, then read the record, then remove what neither names. */
  switchTo(version: string): void {
    const old = this.current;
    this.current = version;
    if (old !== undefined && this.record !== old) this.#removed.add(old);
  }

  readonly hold = (base: Base): Promise<string> => {
    if (this.#removed.has(base.version)) return Promise.reject(new Error('no such tree'));
    this.record = base.version;
    return Promise.resolve(base.version);
  };

  readonly look = (base: Base): Promise<Base> => {
    this.looks.push(base.version);
    if (this.current === undefined) return Promise.reject(new Error('gone'));
    return Promise.resolve(this.current === base.version ? base : { version: this.current });
  };

  isThere(version: string): boolean {
    return !this.#removed.has(version);
  }
}

describe('holdCurrent', () => {
  it('looks once where nothing changes', async () => {
    const store = new Store('1');
    expect(await holdCurrent({ version: '1' }, store.hold, store.look)).toBe('1');
    expect(store.looks).toEqual(['1']);
  });

  it('begins again with the new version when it changed before the record was written', async () => {
    const store = new Store('1');
    const first = { version: '1' };
    store.switchTo('2');
    expect(store.isThere('1')).toBe(false);
    expect(await holdCurrent(first, store.hold, store.look)).toBe('2');
    expect([store.record, store.isThere('2')]).toEqual(['2', true]);
  });

  it('keeps what it holds when it changes after the look', async () => {
    const store = new Store('1');
    const held = await holdCurrent({ version: '1' }, store.hold, store.look);
    store.switchTo('2');
    expect([held, store.record, store.isThere('1')]).toEqual(['1', '1', true]);
  });

  it('begins again as often as the version changes, and the record names what is held', async () => {
    const store = new Store('0');
    let left = 20;
    const hold = async (base: Base): Promise<string> => {
      const held = await store.hold(base);
      // Between the record and the look.
      if (left-- > 0) store.switchTo(String(20 - left));
      return held;
    };
    expect(await holdCurrent({ version: '0' }, hold, store.look)).toBe('20');
    expect([store.record, store.isThere('20')]).toEqual(['20', true]);
    expect(store.looks).toHaveLength(21);
  });

  it.each([0, 1, 2, 3, 4, 5, 6, 7])(
    'never holds a version that is removed, whatever comes when (%i)',
    async (seed) => {
      const store = new Store('0');
      let next = 0;
      let state = seed * 7919 + 1;
      const maybe = (): void => {
        state = (state * 48_271) % 2_147_483_647;
        if (next < 50 && state % 3 !== 0) store.switchTo(String(++next));
      };
      const held = await holdCurrent(
        { version: '0' },
        async (base) => {
          maybe();
          const version = await store.hold(base);
          maybe();
          return version;
        },
        async (base) => {
          maybe();
          const now = await store.look(base);
          maybe();
          return now;
        },
      );
      store.switchTo('last');
      expect([store.record, store.isThere(held)]).toEqual([held, true]);
    },
  );

  it('throws what holding the current version throws', async () => {
    const store = new Store('1');
    const broken = (): Promise<string> => Promise.reject(new Error('no shell'));
    await expect(holdCurrent({ version: '1' }, broken, store.look)).rejects.toThrow('no shell');
  });

  it('says that the chroot has gone, whatever became of holding it', async () => {
    const store = new Store('1');
    store.current = undefined;
    await expect(holdCurrent({ version: '1' }, store.hold, store.look)).rejects.toThrow('gone');
    const broken = (): Promise<string> => Promise.reject(new Error('no shell'));
    await expect(holdCurrent({ version: '1' }, broken, store.look)).rejects.toThrow('gone');
  });
});
