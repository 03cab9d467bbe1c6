/** Limits where cgroup v2 has its controllers, as on a real host: scripts/v2-host. */
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { machineCgroup } from '../../src/machine/cgroup.ts';
import { DriverJob, host, leftovers } from './driver.ts';

const controllers = await readFile('/sys/fs/cgroup/cgroup.controllers', 'utf8').catch(() => '');
const enforced = /\bmemory\b.*\bpids\b/.test(controllers) && /\bcpu\b/.test(controllers);
if (!enforced) {
  console.warn('No cgroup v2 with controllers on this host: scripts/v2-host runs these tests.');
}

/** CAP_SYS_RESOURCE, capabilities(7): root of a container may lack it, and then no process is spared. */
const CAP_SYS_RESOURCE = 24n;
const status = await readFile('/proc/self/status', 'utf8');
const effective = BigInt(`0x${/^CapEff:\t(\S+)$/m.exec(status)?.[1] ?? '0'}`);
const maySpare = ((effective >> CAP_SYS_RESOURCE) & 1n) === 1n;
if (!maySpare) {
  console.warn('No CAP_SYS_RESOURCE on this host: who is killed for want of memory is not tested.');
}

async function prepared(limits: string): Promise<DriverJob> {
  const job = await DriverJob.create({ settings: `limits:\n  ${limits}\n` });
  expect((await job.prepare()).status).toBe(0);
  return job;
}

/** One number of a file with a key and a number on each line. */
async function reading(job: DriverJob, file: string, key: string): Promise<number> {
  const text = await readFile(`${machineCgroup(job.machine)}/${file}`, 'utf8');
  return Number(new RegExp(`^${key} (\\d+)$`, 'm').exec(text)?.[1]);
}

describe.runIf(enforced && maySpare)('memory of a whole machine', () => {
  // Memory of a tmpfs is no process's: killing does not free it, so the kernel goes on to the init.
  it.each([
    ['by files in memory', 'head -c 300M /dev/zero >/dev/shm/file; sleep 300'],
    [
      'by a process that the kernel spares',
      'echo -1000 >/proc/self/oom_score_adj; head -c 300M /dev/zero | tail; sleep 300',
    ],
  ])('eaten %s is the job’s failure and names the limit', async (_, script) => {
    const job = await prepared('memory_max: 120M');
    await job.run('mount -o remount,size=1G /dev/shm');
    const result = await job.run(script);
    expect([result.status, result.exitCode?.trim()]).toEqual([1, '137']);
    expect(result.stderr).toContain('of this job; the job may use 120 MiB.');
    await job.cleanup();
    expect(await leftovers(job)).toEqual([]);
    await job.dispose();
  });
});

describe.runIf(maySpare)('who is killed for want of memory', () => {
  it('is the supervisor last, and that does not pass to the machine', async () => {
    const job = await DriverJob.create();
    expect((await job.prepare()).status).toBe(0);
    const { stdout } = await job.run('cat /proc/1/oom_score_adj /proc/self/oom_score_adj');
    expect(stdout).toBe('0\n0\n');
    const pid = await host('systemctl', 'show', '--value', '--property=MainPID', job.unit);
    expect(await readFile(`/proc/${pid}/oom_score_adj`, 'utf8')).toBe('-500\n');
    await job.dispose();
  });
});

describe.runIf(enforced)('evidence of want of memory', () => {
  it('is counted for the job alone, and not for a script that comes after', async () => {
    const [hungry, neighbor] = await Promise.all([
      prepared('memory_max: 120M'),
      prepared('memory_max: 120M'),
    ]);
    await hungry.run('head -c 300M /dev/zero | tail >/dev/null; true');
    expect(await reading(hungry, 'memory.events', 'oom_kill')).toBeGreaterThan(0);
    expect(await reading(neighbor, 'memory.events', 'oom_kill')).toBe(0);
    for (const job of [hungry, neighbor]) {
      const after = await job.run('exit 137', 'after_script');
      expect(after.stderr).not.toContain('Out of memory');
      await job.dispose();
    }
  });
});

describe.runIf(enforced)('tasks', () => {
  it('are limited for all of the machine, and the refusal is counted', async () => {
    const job = await prepared('tasks_max: 64');
    const result = await job.run('for i in $(seq 100); do sleep 300 & done; true');
    expect(result.stderr).toMatch(/fork|Resource temporarily unavailable/);
    expect(await reading(job, 'pids.events', 'max')).toBeGreaterThan(0);
    await job.dispose();
  });
});

describe.runIf(enforced)('cpu', () => {
  it('is held to the quota', async () => {
    const job = await prepared('cpu_quota: 20%');
    const spent = async () => ({
      cpu: await reading(job, 'cpu.stat', 'usage_usec'),
      wall: performance.now() * 1000,
    });
    const before = await spent();
    await job.run('timeout 10 sh -c "while :; do :; done"; true');
    const after = await spent();
    expect((after.cpu - before.cpu) / (after.wall - before.wall)).toBeLessThan(0.25);
    expect(await reading(job, 'cpu.stat', 'nr_throttled')).toBeGreaterThan(0);
    await job.dispose();
  });
});
