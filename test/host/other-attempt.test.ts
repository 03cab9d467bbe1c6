/** Stages that come to the machine of another attempt: of another job, or of one with the same id. */
import { expect, it } from 'vitest';
import { DriverJob, isUp } from './driver.ts';

it('cleanup without a response file takes a TMPDIR that jobs share for no proof', async () => {
  const shared = { TMPDIR: '/var/tmp' };
  const [living, other] = await Promise.all(
    [1, 2].map(() => DriverJob.create({ variables: shared })),
  );
  if (living === undefined || other === undefined) throw new Error('no jobs');
  expect((await living.prepare()).status).toBe(0);
  Object.assign(other.env, { JOB_RESPONSE_FILE: '', CUSTOM_ENV_CI_JOB_ID: '' });
  expect((await other.cleanup()).status).toBe(0);
  expect(await isUp(living)).toBe(true);
  await living.dispose();
  await other.dispose();
});
