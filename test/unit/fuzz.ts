/** A seeded source of random choices; the seed is printed, and NSPAWN_RUNNER_SEED repeats it. */
export interface Fuzz {
  readonly seed: number;
  /** A whole number from 0 to `limit` - 1. */
  readonly below: (limit: number) => number;
  readonly pick: <T>(items: readonly T[]) => T;
  /** Text of `length` characters from the alphabet. */
  readonly text: (length: number, alphabet: string) => string;
}

export function fuzz(name: string): Fuzz {
  const given = process.env['NSPAWN_RUNNER_SEED'];
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
  console.log(`${name}: seed ${seed}`);
  let state = seed >>> 0;
  // mulberry32: 32 bits of state are plenty for inputs that a person can read.
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  const pick = <T>(items: readonly T[]): T => items[below(items.length)] as T;
  return {
    seed,
    below,
    pick,
    text: (length, alphabet) => Array.from({ length }, () => pick(Array.from(alphabet))).join(''),
  };
}
