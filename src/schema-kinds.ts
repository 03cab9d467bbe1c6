/**
 * The kinds of values that settings and recipes are made of. A schema's error is what it expects, as
 * a noun: file-problems.ts makes the sentence.
 */
import * as z from 'zod/mini';
import { parseDuration } from './sizes.ts';

/** systemd.time(7) up to days; a bare number is seconds. */
const DURATION =
  /^(?:\d+(?:\.\d+)?|(?:\d+(?:\.\d+)? *(?:ms|s|sec|seconds?|m|min|minutes?|h|hours?|d|days?) *)+)$/;

export interface About {
  readonly description: string;
  readonly default?: unknown;
}

export function text(expected: string, pattern: RegExp, about: About) {
  return z.optional(
    z
      .string({ error: expected })
      .check(z.regex(pattern, { error: expected }), z.meta({ ...about })),
  );
}

export interface Form<T> {
  readonly expected: string;
  /** For editors; `parse` has the last word. */
  readonly pattern: RegExp;
  readonly parse: (value: string | number) => T | undefined;
}

/** A string or a number that becomes what the inside wants. */
export function parsed<T>({ expected, pattern, parse }: Form<T>, about: About) {
  const string = z.string().check(z.regex(pattern, { error: expected }));
  return z.optional(
    z.pipe(
      z.union([string, z.number()], { error: expected }).check(z.meta({ ...about })),
      z.transform((value, context): T => {
        const result = parse(value);
        if (result !== undefined) return result;
        context.issues.push({ code: 'custom', message: expected, input: value });
        return z.NEVER;
      }),
    ),
  );
}

export function wholeNumber(expected: string, minimum: number, maximum: number, about: About) {
  return z.optional(
    z
      .int({ error: expected })
      .check(
        z.minimum(minimum, { error: expected }),
        z.maximum(maximum, { error: expected }),
        z.meta({ ...about }),
      ),
  );
}

export function yesNo(about: About) {
  return z.optional(z.boolean({ error: 'true or false' }).check(z.meta({ ...about })));
}

export function listOf(expected: string, pattern: RegExp, about: About) {
  return z.optional(
    z
      .array(z.string({ error: expected }).check(z.regex(pattern, { error: expected })), {
        error: `a list, each item ${expected}`,
      })
      .check(z.meta({ ...about })),
  );
}

export interface Range {
  readonly example: string;
  /** As an operator writes it. */
  readonly longest: string;
  readonly zero: boolean;
}

export function duration({ example, longest, zero }: Range, about: About) {
  const parse = (value: string | number): number | undefined => {
    const seconds = parseDuration(value);
    if (seconds === undefined || seconds > (parseDuration(longest) ?? 0)) return undefined;
    return seconds > 0 || zero ? seconds : undefined;
  };
  const expected = `a duration such as ${example}, at most ${longest}`;
  return parsed({ expected, pattern: DURATION, parse }, about);
}
