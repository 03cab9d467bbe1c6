/**
 * Jobs that run all the while something else happens on the host, each looking after what is its
 * own: files, a process, its machine. One that ends is replaced; none may notice anything.
 */
import { randomInt } from 'node:crypto';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cachePath } from '../../src/machine/kept-directories.ts';
import { machineName } from '../../src/machine/names.ts';
import { startJob, type EmulatedResult, type StartedJob } from '../runner-emulator.ts';
import { STATE_DIR, waitFor } from './driver.ts';
import { newProject } from './host-job.ts';

const ORIGIN = 'gitlab.example.com';
const BEGUN = /^begun$/m;
const BOOT_WAIT_MS = 90_000;

/** Ends by itself after ROUNDS half seconds, or when the host says so by a file in the cache. */
const SCRIPT = `
own=$(mktemp -d)/own; echo "$CI_JOB_ID" >"$own"; echo 0 >/builds/count; sleep 3000 & child=$!
disturbed() { echo "disturbed: $*"; exit 1; }
machine=$(hostname)
echo begun
for round in $(seq "$ROUNDS"); do
  sleep 0.5
  [ "$(cat "$own")" = "$CI_JOB_ID" ] || disturbed own file
  [ "$(cat /builds/count)" = $((round - 1)) ] || disturbed count
  echo "$round" >/builds/count
  kill -0 $child || disturbed child
  [ "$(hostname)" = "$machine" ] || disturbed machine
  echo "$round" >"/cache/$CI_JOB_ID"; [ "$(cat "/cache/$CI_JOB_ID")" = "$round" ] || disturbed cache
  if [ -e /cache/enough ]; then break; fi
done
echo "undisturbed"
`;
const AFTER = `[ -s /builds/count ] && echo "after_script undisturbed"`;

export interface Crowd {
  /** Machines and temporary directories of all jobs so far, as `difference` ignores them. */
  readonly names: () => readonly string[];
  readonly machines: () => readonly string[];
  readonly ended: () => number;
  /** Logs of the jobs that did not end green. */
  readonly disturbed: readonly string[];
  /** Waits until all have ended. */
  readonly stop: () => Promise<void>;
}

/** Resolves when all are in their scripts. */
export async function startCrowd(size: number): Promise<Crowd> {
  const project = String(newProject());
  const tmpRoot = await mkdtemp(join(tmpdir(), 'crowd-'));
  await writeFile(join(tmpRoot, 'settings.yaml'), 'boot_timeout: 120\n');
  const cache = cachePath(STATE_DIR, { origin: ORIGIN, id: '1', projectId: project });
  const machines: string[] = [];
  const disturbed: string[] = [];
  let ended = 0;
  let isStopping = false;
  const startOne = (): StartedJob => {
    const id = randomInt(1_000_000, 2 ** 31);
    machines.push(machineName({ origin: ORIGIN, id: String(id) }));
    return startJob({
      ...{ id, tmpRoot, image: 'debian-12', script: [SCRIPT], afterScript: [AFTER] },
      driverArgs: [`--settings=${join(tmpRoot, 'settings.yaml')}`],
      variables: { CI_PROJECT_ID: project, ROUNDS: String(randomInt(20, 60)) },
      response: { job_info: jobInfo(Number(project)) },
    });
  };
  const place = async (first: StartedJob): Promise<void> => {
    for (let job = first; ; job = startOne()) {
      const result = await job.result;
      ended += 1;
      if (!isGreen(result)) disturbed.push(`${result.status}: ${result.log}${result.operatorLog}`);
      if (isStopping) return;
    }
  };
  const firsts = Array.from({ length: size }, startOne);
  const places = firsts.map((job) => place(job));
  for (const { log } of firsts) {
    await waitFor('the crowd is at work', () => BEGUN.test(log()), BOOT_WAIT_MS);
  }
  return {
    names: () => [tmpRoot, ...machines],
    machines: () => machines,
    ended: () => ended,
    disturbed,
    stop: async () => {
      isStopping = true;
      await mkdir(cache, { recursive: true });
      await writeFile(join(cache, 'enough'), '');
      await Promise.all(places);
      await rm(cache, { recursive: true });
      await rm(tmpRoot, { recursive: true });
    },
  };
}

function isGreen({ status, log }: EmulatedResult): boolean {
  return status === 'success' && /^undisturbed$/m.test(log) && /after_script undisturbed/.test(log);
}

function jobInfo(project: number) {
  return {
    ...{ name: 'crowd', stage: 'test', project_id: project, project_name: 'project' },
    project_full_path: 'group/project',
  };
}
