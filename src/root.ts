/** Who may boot machines. */
import { HostError } from './errors.ts';

/**
 * @param what the sentence's subject, such as "prepare".
 * @throws HostError for everyone but root.
 */
export function requireRoot(what: string): void {
  if (process.geteuid?.() === 0) return;
  throw new HostError(`${what}: only root may do this.`, {
    details: [`This process runs as user ${String(process.geteuid?.())}.`],
    hint: 'Call it with sudo; a GitLab Runner with this executor runs as root, which its packaged service does.',
  });
}
