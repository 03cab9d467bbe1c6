import { expect } from 'vitest';

/** What work that has to fail is rejected with. */
export async function failure(work: Promise<unknown>): Promise<unknown> {
  const nothing = Symbol('no failure');
  const error = await work.then(
    () => nothing,
    (error: unknown) => error,
  );
  expect(error).not.toBe(nothing);
  return error;
}
