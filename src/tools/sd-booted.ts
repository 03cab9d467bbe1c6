/** sd_booted(3). */
import { existsSync } from 'node:fs';

/** Whether systemd is the init here, so that units can be started. */
export function isSystemdRunning(): boolean {
  return existsSync('/run/systemd/system');
}
