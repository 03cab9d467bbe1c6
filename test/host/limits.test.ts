/** Limits of a machine, where the kernel's controllers are at hand. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { DriverJob } from './driver.ts';

const memory =
  existsSync('/sys/fs/cgroup/memory') ||
  (await readFile('/sys/fs/cgroup/cgroup.controllers', 'utf8').catch(() => '')).includes('memory');
if (!memory) {
  console.warn('No memory controller on this host: the limits run in the hybrid lab hosts alone.');
}

const ALLOCATE = 'head -c 300M /dev/zero | tail >/dev/null';

describe.runIf(memory)('memory', () => {
  it('over the limit is the job’s failure, names the limit, and the machine lives on', async () => {
    const job = await DriverJob.create({ settings: 'limits:\n  memory_max: 120M\n' });
    expect((await job.prepare()).status).toBe(0);
    const result = await job.run(`set -o pipefail\n${ALLOCATE}`);
    expect(result.status).toBe(1);
    expect(result.exitCode?.trim()).toBe('137');
    expect(result.stderr).toContain(
      'Out of memory: the kernel killed a process of this job; the job may use 120 MiB.',
    );
    const after = await job.run('echo after', 'after_script');
    expect([after.stdout, after.stderr]).toEqual(['after\n', '']);
    await job.dispose();
  });
});

describe.runIf(memory)('tasks', () => {
  it('are limited', async () => {
    const job = await DriverJob.create({ settings: 'limits:\n  tasks_max: 64\n' });
    await job.prepare();
    const result = await job.run('for i in $(seq 100); do sleep 30 & done; echo all');
    expect(result.stderr).toMatch(/fork|Resource temporarily unavailable/);
    await job.dispose();
  });
});
