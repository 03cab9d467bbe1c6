/** Sizes, shares and durations as an operator writes them; undefined for what is none. */

const SIZE = /^(\d+(?:\.\d+)?)([KMGT]?)$/;
const PERCENT = /^(\d+(?:\.\d+)?)%$/;
const SPAN =
  /(\d+(?:\.\d+)?) *(ms|seconds|second|sec|s|minutes|minute|min|m|hours|hour|h|days|day|d)/y;
const FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
};
const SECONDS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 };

/** Bytes; `4G` is base 1024 as in systemd.resource-control(5), a bare number is bytes. */
export function parseSize(value: string | number): number | undefined {
  const [, digits, unit] = SIZE.exec(String(value)) ?? [];
  if (digits === undefined || unit === undefined) return undefined;
  const bytes = Math.floor(Number(digits) * (FACTORS[unit] ?? 1));
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** The number before `%`. */
export function parsePercent(value: string): number | undefined {
  const [, digits] = PERCENT.exec(value) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

/** Seconds; the units of systemd.time(7) up to days, `1h 30min` included, a bare number is seconds. */
export function parseDuration(value: string | number): number | undefined {
  const text = String(value).trim();
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text);
  let seconds = 0;
  SPAN.lastIndex = 0;
  while (SPAN.lastIndex < text.length) {
    const [, digits, unit] = SPAN.exec(text) ?? [];
    if (digits === undefined || unit === undefined) return undefined;
    seconds += Number(digits) * (SECONDS[unit === 'ms' ? unit : unit.slice(0, 1)] ?? 0);
    while (text[SPAN.lastIndex] === ' ') SPAN.lastIndex += 1;
  }
  return text === '' ? undefined : seconds;
}
