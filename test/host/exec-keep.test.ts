import { execa } from 'execa';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readRecord } from '../../src/machine/record.ts';
import { BUNDLE, host, leftovers, STATE_DIR, waitFor } from './driver.ts';
import { reap } from './reap.ts';

const repository = await mkdtemp(join(tmpdir(), 'exec-keep-'));
beforeAll(() => host('git', 'init', '--quiet', repository));
afterAll(() => rm(repository, { recursive: true }));

function job(script: string): Promise<void> {
  return writeFile(
    join(repository, '.gitlab-ci.yml'),
    `job:\n  image: debian-12\n  script: ['${script}']\n`,
  );
}

async function powerOff(machine: string): Promise<void> {
  await host('machinectl', 'poweroff', machine);
  const directory = join(STATE_DIR, 'jobs', machine);
  expect(await leftovers({ machine, directory })).toEqual([]);
}

it('exec --keep keeps its machine from the reaper, until a person ends it', async () => {
  await job('echo hello');
  const { stderr } = await execa(process.execPath, [BUNDLE, 'exec', 'job', '--keep'], {
    cwd: repository,
    stdin: 'ignore',
  });
  const [, machine = ''] = /^Machine "(nsr1-[^"]+)" is kept until /m.exec(stderr) ?? [];
  expect(machine, stderr).not.toBe('');

  const kept = (await reap()).about(machine);
  expect(kept).toMatchObject([{ decision: 'keep', reason: 'a person keeps it' }]);

  await powerOff(machine);
});

it('exec --keep has kept its machine before the job ends, so no reaper comes in between', async () => {
  await job('echo "<$(hostname)>"; until test -e /end; do sleep 0.1; done');
  const running = execa(process.execPath, [BUNDLE, 'exec', 'job', '--keep'], {
    cwd: repository,
    stdin: 'ignore',
    all: true,
    reject: false,
  });
  let said = '';
  running.all.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const told = /<(nsr1-[^>]+)>/;
  await waitFor('the script', () => told.test(said));
  const machine = told.exec(said)?.[1] ?? '';
  const { isKept } = readRecord(join(STATE_DIR, 'jobs', machine, 'record.json')) ?? {};
  await host('systemd-run', '--quiet', '--wait', `--machine=${machine}`, 'touch', '/end');
  expect((await running).exitCode, said).toBe(0);
  await powerOff(machine);
  expect(isKept).toBe(true);
});
