/** A failure as lines for a person; the only place that formats them. */
import { Failure } from './errors.ts';

/** Plain text that ends with a newline. */
export function renderError(error: unknown): string {
  return error instanceof Failure ? `${error.message}\n` : `${String(error)}\n`;
}
