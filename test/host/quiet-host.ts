/** The host as a test of the reaper wants to find it. */
import { DriverJob } from './driver.ts';
import { reap } from './reap.ts';

/** What the first machine of a host brings for good is there, and what other tests left is gone. */
export async function quietHost(): Promise<void> {
  const job = await DriverJob.create();
  await job.prepare();
  await job.dispose();
  await reap();
}
