/** Contract: GitLab Runner dies, and what becomes of the jobs it had. */
import { execa } from 'execa';
import { rm } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { host, leftovers, waitFor } from './driver.ts';
import { cleanUpByHand, runHostJob, startHostJob } from './host-job.ts';

const BEGUN = { log: /^begun$/m };

async function isActive(machine: string): Promise<boolean> {
  const { stdout } = await execa('systemctl', ['is-active', machine], { reject: false });
  return stdout === 'active';
}

describe.concurrent('a runner that is killed', () => {
  it('leaves its machine to a cleanup, and is no hindrance to the jobs of the next runner', async () => {
    const job = await startHostJob({
      script: ['echo begun; sleep 3600'],
      vanishAt: BEGUN,
    });
    expect(await job.result).toMatchObject({ status: 'vanished' });
    expect(await isActive(job.machine)).toBe(true);
    // GitLab gives the job to nobody again; a retry has another number.
    expect(await runHostJob({ script: ['pgrep -x sleep || echo alone'] })).toMatchObject({
      status: 'success',
    });
    expect(await isActive(job.machine)).toBe(true);
    await cleanUpByHand(job);
    await waitFor('the driver has ended', async () => !(await hasDriver(job.tmpRoot)));
    await rm(job.tmpRoot, { recursive: true });
  });

  it('leaves its machine to systemd, which ends it when the job’s time is over', async () => {
    const job = await startHostJob({
      settings: 'deadline_margin: 0\n',
      timeout: 12,
      script: ['echo begun; while :; do sleep 0.1; done'],
      vanishAt: BEGUN,
    });
    expect(await job.result).toMatchObject({ status: 'vanished' });
    await waitFor('the machine is gone', async () => !(await isActive(job.machine)), 120_000);
    await waitFor('the driver has ended', async () => !(await hasDriver(job.tmpRoot)));
    expect(await leftovers(job)).toEqual([]);
    await rm(job.tmpRoot, { recursive: true });
  });

  it('while a machine boots leaves nothing that a cleanup does not find', async () => {
    const job = await startHostJob({ vanishAt: { stage: 'prepare', afterMs: 250 } });
    expect(await job.result).toMatchObject({ status: 'vanished' });
    // The driver goes on alone, and boots the machine to the end.
    await waitFor('the driver has ended', async () => !(await hasDriver(job.tmpRoot)));
    await cleanUpByHand(job);
    await rm(job.tmpRoot, { recursive: true });
  });

  it('after the script has begun: what the script writes then harms nobody', async () => {
    const job = await startHostJob({
      script: ['echo begun; seq 1 200000; sleep 0.5; seq 1 200000; exit 3'],
      vanishAt: BEGUN,
    });
    expect(await job.result).toMatchObject({ status: 'vanished' });
    await waitFor('the driver has ended', async () => !(await hasDriver(job.tmpRoot)));
    expect(await isActive(job.machine)).toBe(true);
    await cleanUpByHand(job);
    await rm(job.tmpRoot, { recursive: true });
  });
});

/** The driver's arguments name the settings, which are in the job's directory. */
async function hasDriver(tmpRoot: string): Promise<boolean> {
  return (await host('ps', 'axww', '-o', 'args')).includes(tmpRoot);
}
