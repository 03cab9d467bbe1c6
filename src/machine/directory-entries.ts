/** Names in a directory of ours; one that is not there has none. */
import { readdirSync } from 'node:fs';

export function entriesOf(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
