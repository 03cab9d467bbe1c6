/** What tools answer in JSON where we read one array of objects. */
import { HostError } from '../errors.ts';

/**
 * The objects of an array; none for an answer that is empty or no array.
 * @throws HostError for text that is no JSON.
 */
export function jsonEntries(tool: string, text: string): readonly Record<string, unknown>[] {
  let value: unknown;
  try {
    value = JSON.parse(text === '' ? '[]' : text);
  } catch (error) {
    throw new HostError(`${tool} gave an answer that is no JSON.`, {
      details: [text.slice(0, 200)],
      hint: `Look at \`${tool} --version\`: it may be another program than expected.`,
      cause: error,
    });
  }
  const entries: readonly unknown[] = Array.isArray(value) ? value : [];
  return entries.filter((entry) => typeof entry === 'object' && entry !== null) as Record<
    string,
    unknown
  >[];
}
