/** The shape of `reap --json`, for whoever reads its output. */
import { z } from 'zod/mini';
import { KINDS } from '../src/reaper/finding.ts';

const count = z.int().check(z.nonnegative());
const text = z.string().check(z.minLength(1));

const Item = z.strictObject({
  kind: z.enum(KINDS),
  name: text,
  machine: z.nullable(text),
  decision: z.enum(['remove', 'keep']),
  reason: text,
  proof: z.array(text),
  result: z.enum(['removed', 'kept', 'failed', 'would-remove']),
  error: z.optional(text),
});

const Report = z.strictObject({
  dryRun: z.boolean(),
  startedAt: z.iso.datetime(),
  durationSec: z.number().check(z.nonnegative()),
  items: z.array(Item),
  counts: z.partialRecord(
    z.enum(KINDS),
    z.strictObject({ removed: count, kept: count, failed: count }),
  ),
});

function contradictions({ items, counts, dryRun }: z.infer<typeof Report>): readonly string[] {
  const odd = dryRun ? ['removed', 'failed'] : ['would-remove'];
  return [
    ...KINDS.flatMap((kind) =>
      (['removed', 'kept', 'failed'] as const).flatMap((result) => {
        const listed = items.filter((item) => item.kind === kind && item.result === result).length;
        const counted = counts[kind]?.[result] ?? 0;
        return listed === counted ? [] : [`${kind}: ${listed} ${result}, ${counted} counted`];
      }),
    ),
    ...items.flatMap(({ name, result, decision, error }) => [
      ...(odd.includes(result) ? [`${name}: ${result}`] : []),
      ...((result === 'kept') === (decision === 'keep') ? [] : [`${name}: ${decision}, ${result}`]),
      ...((result === 'failed') === (error !== undefined) ? [] : [`${name}: error`]),
    ]),
  ];
}

/** What is wrong with the text; empty when it is one report and nothing else. */
export function reportProblems(json: string): readonly string[] {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    return [`no JSON: ${String(error)}`];
  }
  const { success, error, data } = Report.safeParse(value);
  return success
    ? contradictions(data)
    : error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
}
