/** Stages that come to the machine of another attempt: of another job, or of one with the same id. */
import { rm } from 'node:fs/promises';
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

it('an older attempt with the same id neither uses the machine nor ends it', async () => {
  const older = await DriverJob.create();
  const newer = await DriverJob.create({ id: older.id });
  expect((await older.prepare()).status).toBe(0);
  expect((await newer.prepare()).status).toBe(0);
  const late = await older.run('touch /root/was-here');
  expect(late).toMatchObject({ status: 2, stdout: '' });
  expect(late.stderr).toContain(
    `Machine "${older.machine}" belongs to another attempt of job "${older.id}".`,
  );
  expect((await older.cleanup()).status).toBe(0);
  expect(await isUp(newer)).toBe(true);
  expect((await newer.run('ls -A /root | grep was-here; echo own')).stdout).toBe('own\n');
  await newer.dispose();
  await older.dispose();
});

it('an attempt whose directory is gone leaves its machine to the next cleanup', async () => {
  const older = await DriverJob.create();
  const newer = await DriverJob.create({ id: older.id });
  expect((await older.prepare()).status).toBe(0);
  await rm(older.tmpDir, { recursive: true });
  await newer.dispose();
});
