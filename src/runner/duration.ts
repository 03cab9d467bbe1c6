/** Durations as GitLab's variables spell them: Go's form, `1h30m`, `5s`, `250ms`. */

const MS_OF_UNIT: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };
const PART = /(\d+(?:\.\d+)?)(ms|h|m|s)/g;
const WHOLE = /^(?:\d+(?:\.\d+)?(?:ms|h|m|s))+$/;

/** Milliseconds; undefined for what is not a duration of more than nothing. */
export function durationMs(text: string): number | undefined {
  if (!WHOLE.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(PART)) {
    total += Number(amount) * (MS_OF_UNIT[unit ?? ''] ?? 0);
  }
  return total > 0 ? total : undefined;
}
