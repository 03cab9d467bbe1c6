/** Which of the host's processes are looked at for virtual machines. */
import { execa } from 'execa';
import { describe, expect, it, onTestFinished } from 'vitest';
import { findProcesses } from '../../src/vm/vm-processes.ts';
import { host, waitFor } from './driver.ts';

/** A process of that name in a unit of its own. */
async function startNamed(name: string, ...options: string[]): Promise<void> {
  const unit = `vm-processes-${name}.service`;
  const program = ['bash', '-c', `exec -a ${name} sleep 300`];
  await host('systemd-run', '--quiet', '--collect', `--unit=${unit}`, ...options, ...program);
  onTestFinished(() => host('systemctl', 'stop', unit).then(() => undefined));
  await waitFor(name, async () => {
    const { exitCode } = await execa('pgrep', ['--full', `^${name} 300`], { reject: false });
    return exitCode === 0;
  });
}

describe('the host’s processes', () => {
  it('are found by name, and none in a job’s machine is read, which could take for ever', async () => {
    const [outside, inside] = [`outside-${process.pid}`, `inside-${process.pid}`];
    await startNamed(outside);
    await startNamed(inside, '--slice=nspawn-runner.slice');
    const read: string[] = [];
    const found = await findProcesses((program) => read.push(program) > 0 && program === outside);
    expect(found.map(({ argv }) => argv)).toEqual([[outside, '300']]);
    expect(read).not.toContain(inside);
  });
});
