/** Durations as a job's `timeout` spells them: `1h 30m`, `90 minutes`, `3 hours 30 minutes`. */

const SEC_OF_UNIT: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
  w: 604_800,
};
const PART =
  /(\d+(?:\.\d+)?)\s*(s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:rs?|ours?)?|d(?:ays?)?|w(?:eeks?)?)/gi;

/** Seconds; undefined for what is not a duration of more than nothing. */
export function humanDurationSec(text: string): number | undefined {
  let total = 0;
  const rest = text.replace(PART, (_all, amount: string, unit: string) => {
    total += Number(amount) * (SEC_OF_UNIT[unit.charAt(0).toLowerCase()] ?? 0);
    return '';
  });
  const isWhole = rest.replace(/and|,|\s/g, '') === '';
  return isWhole && total > 0 ? Math.round(total) : undefined;
}
