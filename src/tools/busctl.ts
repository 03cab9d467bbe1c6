/** busctl(1): the services of the system bus. */
import { CommandError, HostError } from '../errors.ts';
import { run } from './exec.ts';

/** Asks a service for a sign of life; the bus starts it if need be. Undefined when it answers, else why not. */
export async function pingService(service: string): Promise<string | undefined> {
  const path = `/${service.replaceAll('.', '/')}`;
  try {
    await run('busctl', ['call', service, path, 'org.freedesktop.DBus.Peer', 'Ping'], {
      timeoutSec: 15,
    });
    return undefined;
  } catch (error) {
    if (error instanceof CommandError) {
      return error.command.stderrTail.trim() === '' ? error.message : error.command.stderrTail;
    }
    if (error instanceof HostError) return error.message;
    throw error;
  }
}
