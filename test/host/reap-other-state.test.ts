/** Jobs of a second state directory: a second settings file, or one that changed while jobs run. */
import { execa } from 'execa';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DriverJob, isUp, STATE_DIR } from './driver.ts';
import { reap } from './reap.ts';

const OTHER = '/var/lib/nspawn-runner-other';

beforeAll(async () => {
  await mkdir(`${OTHER}/chroots`, { recursive: true, mode: 0o700 });
  await execa('mount', ['--bind', `${STATE_DIR}/chroots`, `${OTHER}/chroots`]);
});

afterAll(async () => {
  await execa('umount', [`${OTHER}/chroots`]);
  await rm(OTHER, { recursive: true });
});

it('leaves a machine alone whose record is in another state directory', async () => {
  const settings = `state_dir: ${OTHER}\n`;
  const job = await DriverJob.create({ settings });
  expect(await job.prepare()).toMatchObject({ status: 0 });
  const verdict = async (...args: string[]): Promise<string | undefined> =>
    (await reap({ args })).about(job.machine).find(({ kind }) => kind === 'machine')?.reason;
  expect(await verdict()).toBe('it has another state directory');
  expect(await isUp(job)).toBe(true);
  await writeFile(`${OTHER}/settings.yaml`, settings);
  expect(await verdict(`--settings=${OTHER}/settings.yaml`)).toBe('its GitLab Runner lives');
  await job.dispose();
});
