/** Our few files: where they lie on the host, beside the program, and where a machine sees them. */
import { join } from 'node:path';

/** Bound read-only when the machine boots, so a machine keeps the frame it was prepared with. */
export const FRAME_IN_MACHINE = '/run/nspawn-runner/frame.sh';
/** Before /usr/bin in the path of scripts: the host's binary has the version that GitLab talks to. */
export const RUNNER_IN_MACHINE = '/usr/local/bin/gitlab-runner';

/** The files are bundled beside the program's one file (scripts/build.mjs). */
export function bundledFile(name: 'boot.sh' | 'frame.sh'): string {
  return join(import.meta.dirname, name);
}
