/** Builds that outlive their job are one job's at a time. */
import { randomInt } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DriverJob } from './driver.ts';

const SAYS = 'Another job has the kept builds of this slot';

async function keptBuildsOf(job: DriverJob): Promise<string | undefined> {
  const text = await readFile(join(job.directory, 'record.json'), 'utf8');
  return (JSON.parse(text) as { keptBuilds?: string }).keptBuilds;
}

describe('kept builds', () => {
  it('of one runner and slot go to one of two jobs that are prepared at the same time', async () => {
    const info = { name: 'test', stage: 'test', project_id: randomInt(1, 2 ** 31) };
    const options = { settings: 'keep_builds: true\n', response: { job_info: info } };
    const jobs = await Promise.all([DriverJob.create(options), DriverJob.create(options)]);
    const results = await Promise.all(jobs.map((job) => job.prepare()));
    expect(results.map(({ status }) => status)).toEqual([0, 0]);
    const kept = await Promise.all(jobs.map(keptBuildsOf));
    for (const job of jobs) await job.dispose();
    const [path = '', ...others] = kept.filter((each) => each !== undefined);
    if (path !== '') await rm(dirname(path), { recursive: true });
    expect(path).not.toBe('');
    expect(others).toEqual([]);
    const told = results.filter(({ stdout, stderr }) => (stdout + stderr).includes(SAYS));
    expect(told).toHaveLength(1);
  });
});
